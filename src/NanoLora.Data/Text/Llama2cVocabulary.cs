using System.Buffers.Binary;
using System.Text;

namespace NanoLora.Data;

// The tokenizer.bin of llama2.c: I32, the bytes of the longest token; then for each token its score (F32), its length in bytes (I32) and its bytes.
// Spaces stand as spaces. Token 0 is unknown, 1 begins a text, 2 ends one (both written between line breaks), 3 to 258 are the 256 bytes.

/// <summary>
/// Reads the vocabulary that lies beside a checkpoint of llama2.c: SentencePiece's byte-pair encoding with a space in front of each text, bytes for what has
/// no token, and the token that begins texts.
/// </summary>
internal static class Llama2cVocabulary
{
    private const string Unknown = "<unk>", Begin = "<s>", End = "</s>";
    private const int MaxBytes = 1 << 28, Header = 4, Entry = 8, Reserved = 259;

    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Whether a file is called as these are: tokenizer.bin, or tok512.bin for one of 512 tokens.</summary>
    public static bool IsName(string path) =>
        Path.GetFileName(path) is var name && name.StartsWith("tok", StringComparison.OrdinalIgnoreCase)
        && name.EndsWith(".bin", StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or no such vocabulary.</exception>
    public static Tokenizer Read(string path)
    {
        if (new FileInfo(path).Length > MaxBytes)
            throw new InvalidDataException($"{path}: a tokenizer of more than {MaxBytes} bytes is none; check the file.");
        return Parse(path, File.ReadAllBytes(path));
    }

    /// <summary>Reads bytes.</summary>
    /// <exception cref="InvalidDataException">They are damaged, or no such vocabulary.</exception>
    public static Tokenizer Parse(string source, ReadOnlySpan<byte> data)
    {
        var pieces = Pieces(source, data);
        var vocabulary = new Vocabulary([.. pieces.Select(static p => p.Text)]);
        if (vocabulary.ByteTokens() is null) throw Damaged(source, "there are not 256 byte tokens, <0x00> to <0xFF>");
        return new Tokenizer(new SentencePieceBpe(vocabulary, pieces, new Trie(), unknown: 0, byteFallback: true), [])
        {
            PreTokenizer = new GgufSpaces(prefix: true), Decoder = new SentencePieceDecoder(vocabulary, pieces, true, false, " \u2047 "),
            IsSpecial = id => (uint)id < (uint)pieces.Count && pieces[id].Kind is PieceKind.Control or PieceKind.Unknown,
            PostProcessor = SentencePiece.Around(vocabulary, Begin, null),
        };
    }

    private static List<Piece> Pieces(string source, ReadOnlySpan<byte> data)
    {
        var pieces = new List<Piece>();
        if (data.Length < Header) throw Damaged(source, "it is cut");
        var longest = BinaryPrimitives.ReadInt32LittleEndian(data);
        for (data = data[Header..]; data.Length > 0;)
        {
            if (data.Length < Entry) throw Damaged(source, "it is cut");
            var (score, length) = (BinaryPrimitives.ReadSingleLittleEndian(data), BinaryPrimitives.ReadInt32LittleEndian(data[sizeof(float)..]));
            data = data[Entry..];
            if (!float.IsFinite(score)) throw Damaged(source, $"the score of token {pieces.Count} is not finite");
            if (length < 0 || length > longest || length > data.Length)
                throw Damaged(source, $"token {pieces.Count} has {length} bytes where {Math.Min(longest, data.Length)} are the most");
            pieces.Add(Piece(source, pieces.Count, data[..length], score));
            data = data[length..];
        }
        return pieces.Count >= Reserved ? pieces : throw Damaged(source, $"it has {pieces.Count} tokens; the first {Reserved} are the same in every one");
    }

    private static Piece Piece(string source, int id, ReadOnlySpan<byte> bytes, float score)
    {
        string text;
        try { text = Utf8.GetString(bytes).Replace(' ', '▁'); }
        catch (DecoderFallbackException) { throw Damaged(source, $"token {id} is no UTF-8"); }
        return id switch
        {
            0 => new(Unknown, score, PieceKind.Unknown),
            1 => new(Begin, score, PieceKind.Control),
            2 => new(End, score, PieceKind.Control),
            < Reserved => new(text, score, PieceKind.Byte),
            _ => new(text, score, PieceKind.Normal),
        };
    }

    private static InvalidDataException Damaged(string source, string what) =>
        new($"{source}: this is no vocabulary of llama2.c, or a damaged one: {what}; copy it again.");
}
