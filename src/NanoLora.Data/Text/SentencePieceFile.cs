using System.Buffers.Binary;
using System.Text;

namespace NanoLora.Data;

/// <summary>What a piece of a SentencePiece model is for; the numbers are those of the file, and of GGUF.</summary>
internal enum PieceKind
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// <summary>A piece: its text, its score and what it is for.</summary>
internal readonly record struct Piece(string Text, float Score, PieceKind Kind);

/// <summary>What is in a SentencePiece .model file, which is a protocol buffer: fields by number, of which those not named here do not change ids.</summary>
internal sealed class SentencePieceFile
{
    private const int MaxBytes = 1 << 28, Unigram = 1, Bpe = 2;

    private readonly string _source;

    private SentencePieceFile(string source) => _source = source;

    public List<Piece> Pieces { get; } = [];

    public CharacterMap? Map { get; private set; }

    public bool IsUnigram { get; private set; } = true;

    public bool AddDummyPrefix { get; private set; } = true;

    public bool RemoveExtraWhitespaces { get; private set; } = true;

    public bool EscapeWhitespaces { get; private set; } = true;

    public bool WhitespaceAsSuffix { get; private set; }

    public bool ByteFallback { get; private set; }

    public string UnknownSurface { get; private set; } = " \u2047 ";

    public string Begin { get; private set; } = "<s>";

    public string End { get; private set; } = "</s>";

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or has what is not supported.</exception>
    public static SentencePieceFile Read(string path)
    {
        if (new FileInfo(path).Length > MaxBytes)
            throw new InvalidDataException($"{path}: a tokenizer of more than {MaxBytes} bytes is none; check the file.");
        return Parse(path, File.ReadAllBytes(path));
    }

    /// <summary>Reads bytes.</summary>
    /// <exception cref="InvalidDataException">They are damaged, or have what is not supported.</exception>
    public static SentencePieceFile Parse(string source, ReadOnlySpan<byte> data)
    {
        var y = new SentencePieceFile(source);
        while (y.Next(ref data, out var field, out var number, out var bytes))
        {
            if (field == 1) y.ReadPiece(bytes);
            else if (field == 2) y.ReadTrainer(bytes);
            else if (field == 3) y.ReadNormalizer(bytes);
            else if (field == 5 && bytes.Length > 0) y.ReadDenormalizer(bytes);
        }
        if (y.Pieces.Count == 0) throw y.Damaged("it has no pieces");
        if (y.Pieces.Count(static p => p.Kind == PieceKind.Unknown) != 1) throw y.Damaged("it has not exactly one unknown piece");
        return y;
    }

    private void ReadPiece(ReadOnlySpan<byte> data)
    {
        string text = "";
        float score = 0;
        var kind = PieceKind.Normal;
        while (Next(ref data, out var field, out var number, out var bytes))
        {
            if (field == 1) text = Text(bytes);
            else if (field == 2) score = BitConverter.UInt32BitsToSingle((uint)number);
            else if (field == 3) kind = (PieceKind)number;
        }
        if (text.Length == 0) throw Damaged($"piece {Pieces.Count} is empty");
        if (!float.IsFinite(score)) throw Damaged($"the score of piece {Pieces.Count} is not finite");
        if (kind is < PieceKind.Normal or > PieceKind.Byte) throw Damaged($"piece {Pieces.Count} is of kind {(int)kind}, which there is not");
        Pieces.Add(new(text, score, kind));
    }

    private void ReadTrainer(ReadOnlySpan<byte> data)
    {
        while (Next(ref data, out var field, out var number, out var bytes))
        {
            if (field == 3)
            {
                if (number is not (Unigram or Bpe))
                {
                    var name = number == 3 ? "WORD" : number == 4 ? "CHAR" : $"{number}";
                    throw new InvalidDataException($"{_source}: trainer_spec.model_type: it is {name}; UNIGRAM and BPE are supported.");
                }
                IsUnigram = number == Unigram;
            }
            else if (field == 24) WhitespaceAsSuffix = number != 0;
            else if (field == 35) ByteFallback = number != 0;
            else if (field == 44) UnknownSurface = Text(bytes);
            else if (field == 46) Begin = Text(bytes);
            else if (field == 47) End = Text(bytes);
        }
    }

    private void ReadNormalizer(ReadOnlySpan<byte> data)
    {
        while (Next(ref data, out var field, out var number, out var bytes))
        {
            if (field == 2 && bytes.Length > 0) Map = new CharacterMap(bytes, $"{_source}: normalizer_spec");
            else if (field == 3) AddDummyPrefix = number != 0;
            else if (field == 4) RemoveExtraWhitespaces = number != 0;
            else if (field == 5) EscapeWhitespaces = number != 0;
        }
    }

    private void ReadDenormalizer(ReadOnlySpan<byte> data)
    {
        while (Next(ref data, out var field, out _, out var bytes))
        {
            if (field == 2 && bytes.Length > 0)
                throw new InvalidDataException($"{_source}: denormalizer_spec: a character map for decoded text is not supported; use a model without it.");
        }
    }

    // The next field: its number, and its value as a number or as bytes.
    private bool Next(ref ReadOnlySpan<byte> data, out int field, out ulong number, out ReadOnlySpan<byte> bytes)
    {
        (field, number) = (0, 0);
        bytes = default;
        if (data.Length == 0) return false;
        var key = Varint(ref data);
        if (key >> 3 is 0 or > int.MaxValue) throw Damaged("a field has no number");
        field = (int)(key >> 3);
        switch (key & 7)
        {
            case 0: number = Varint(ref data); return true;
            case 1: number = BinaryPrimitives.ReadUInt64LittleEndian(Take(ref data, 8)); return true;
            case 2: bytes = Take(ref data, Varint(ref data)); return true;
            case 5: number = BinaryPrimitives.ReadUInt32LittleEndian(Take(ref data, 4)); return true;
            default: throw Damaged($"field {field} is of a kind that there is not");
        }
    }

    private ulong Varint(ref ReadOnlySpan<byte> data)
    {
        ulong y = 0;
        for (var i = 0; i < 10 && i < data.Length; i++)
        {
            y |= (ulong)(data[i] & 0x7F) << (7 * i);
            if (data[i] >= 0x80) continue;
            data = data[(i + 1)..];
            return y;
        }
        throw Damaged("it is cut");
    }

    private ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> data, ulong length)
    {
        if (length > (ulong)data.Length) throw Damaged("it is cut");
        var y = data[..(int)length];
        data = data[(int)length..];
        return y;
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes);

    private InvalidDataException Damaged(string what) => new($"{_source}: this is no SentencePiece model, or a damaged one: {what}; copy it again.");
}
