namespace NanoLora;

/// <summary>
/// Counter-based random numbers: number <c>i</c> of a stream is a function of (seed, stream, i) alone, so any split of the work, a recomputation or
/// a resumed run sees the same numbers. Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
/// </summary>
/// <param name="seed">Names the run.</param>
/// <param name="stream">Names the use within the run: one dropout call, one shuffle, one initialisation.</param>
public readonly struct Philox(ulong seed, ulong stream)
{
    private readonly uint _key0 = (uint)seed, _key1 = (uint)(seed >> 32), _stream0 = (uint)stream, _stream1 = (uint)(stream >> 32);

    /// <summary>A stream named by a text, such as a parameter's path: FNV-1a, 64 bits.</summary>
    public static ulong StreamOf(string name)
    {
        var hash = 14695981039346656037ul;
        foreach (var letter in name) hash = (hash ^ letter) * 1099511628211;
        return hash;
    }

    /// <summary>Number <paramref name="index"/> of the stream: 32 random bits.</summary>
    public uint Bits(ulong index)
    {
        var (x, y, z, w) = Block((uint)(index >> 2), (uint)(index >> 34));
        return (index & 3) switch { 0 => x, 1 => y, 2 => z, _ => w };
    }

    /// <summary>Number <paramref name="index"/> as a float in [0, 1): the upper 24 bits.</summary>
    public float Uniform(ulong index) => (int)(Bits(index) >> 8) * (1f / (1 << 24));

    /// <summary>Number <paramref name="index"/> as an integer in [0, <paramref name="n"/>), by multiplication.</summary>
    public int Below(ulong index, int n) => (int)(((ulong)Bits(index) * (uint)n) >> 32);

    /// <summary>A standard normal number, by Box and Muller from the numbers 2i and 2i + 1.</summary>
    public float Normal(ulong index)
    {
        double u = (Bits(2 * index) + 1.0) / 4294967297.0, v = Bits(2 * index + 1) / 4294967296.0;
        return (float)(Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v));
    }

    /// <summary>Shuffles in place, by Fisher and Yates.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = Below((ulong)i, i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>Four numbers at once: ten rounds over the counter (block, stream) under the key (seed).</summary>
    private (uint, uint, uint, uint) Block(uint block0, uint block1)
    {
        uint c0 = block0, c1 = block1, c2 = _stream0, c3 = _stream1, k0 = _key0, k1 = _key1;
        for (var round = 0; round < 10; round++)
        {
            ulong p0 = 0xD2511F53ul * c0, p1 = 0xCD9E8D57ul * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        return (c0, c1, c2, c3);
    }
}
