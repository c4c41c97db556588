namespace NanoLora.Data;

/// <summary>
/// GPT-2's way to write bytes as characters: printable ones of Latin-1 stand for themselves, the other 68 for U+0100 and on, so that a space is Ġ and a new
/// line Ċ, and no vocabulary needs white space or broken UTF-8.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly int[] Characters = Build();

    private static readonly short[] Bytes = Invert();

    /// <summary>The character of a byte.</summary>
    public static int Character(byte value) => Characters[value];

    /// <summary>The byte of a character, or -1.</summary>
    public static int Byte(int character) => (uint)character < (uint)Bytes.Length ? Bytes[character] : -1;

    /// <summary>Adds the bytes of a part of a text as characters, each where its character lies.</summary>
    public static void Add(AlignedText y, AlignedText x, int start, int end)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (var i = start; i < end; i++)
        {
            var point = x.Points[i];
            if (point < 0x80)
            {
                y.Add(Characters[point], x, i);
                continue;
            }
            var length = CodePoints.Utf8(point, bytes);
            for (var b = 0; b < length; b++) y.Add(Characters[bytes[b]], x, i);
        }
    }

    private static int[] Build()
    {
        var y = new int[256];
        var next = 256;
        for (var i = 0; i < 256; i++) y[i] = i is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? i : next++;
        return y;
    }

    private static short[] Invert()
    {
        var y = new short[256 + 68];
        Array.Fill(y, (short)-1);
        for (var i = 0; i < 256; i++) y[Characters[i]] = (short)i;
        return y;
    }
}
