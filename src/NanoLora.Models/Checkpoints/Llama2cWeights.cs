using System.Buffers.Binary;
using System.Runtime.InteropServices;
using NanoLora.Nn;

namespace NanoLora.Models;

// Version 0 of llama2.c: seven I32 (dim, hidden, layers, heads, key heads, vocab, length), then F32, each over all layers in turn:
//     tok_emb | rms_att | wq | wk | wv | wo | rms_ffn | w1 (gate) | w2 (down) | w3 (up) | rms_final | cosines | sines | the head, where vocab is negative
// Its rotary pairs are 2j and 2j + 1 of a head; here they are j and j + d/2, so the rows of wq and wk change places.

/// <summary>Parameters from a checkpoint of llama2.c.</summary>
internal sealed class Llama2cWeights : WeightSource
{
    private const int Header = 28, MostBytes = int.MaxValue - 64;

    private readonly byte[] _bytes;
    private readonly Dictionary<string, long> _places = [];   // where each begins, in floats

    /// <summary>Reads a file whole.</summary>
    /// <exception cref="CheckpointException">It is missing, or its length is not what its header says.</exception>
    public Llama2cWeights(string path, Backend backend) : base(backend)
    {
        try
        {
            if (new FileInfo(path).Length is < Header or > MostBytes)
                throw new CheckpointException(path, "file", "a checkpoint of llama2.c has a header of 28 bytes and weights below 2 GiB.");
            _bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException and not CheckpointException))
        {
            throw new CheckpointException(path, "file", $"it cannot be read: {e.Message}", e);
        }
        int dim = Number(0), hidden = Number(1), layers = Number(2), heads = Number(3), keys = Number(4), vocabulary = Number(5), length = Number(6);
        var tied = vocabulary > 0;
        foreach (var size in (ReadOnlySpan<long>)[dim, hidden, layers, heads, keys, length, Math.Abs((long)vocabulary)])
            if (size is < 1 or > 1 << 24) throw new CheckpointException(path, "header", $"{size} is no size of a model; this is no checkpoint of llama2.c.");
        if (dim % heads != 0 || heads % keys != 0 || dim / heads % 2 != 0)
            throw new CheckpointException(path, "header", $"a width of {dim}, {heads} heads and {keys} of keys do not go together.");
        Config = new LlamaConfig
        {
            Vocabulary = Math.Abs(vocabulary),
            HiddenSize = dim,
            Layers = layers,
            Heads = heads,
            KeyHeads = keys,
            HeadSize = dim / heads,
            IntermediateSize = hidden,
            MaxPositions = length,
            Eps = 1e-5f,
            TiedHead = tied,
        };
        var at = 0.0;                                                                  // as double: a wrong header may say more than 63 bits hold
        long keyWidth = (long)keys * (dim / heads), square = (long)dim * dim;
        Place("embed.weight", (long)Config.Vocabulary * dim, 1);
        Place("norm1.weight", dim, layers);
        Place("attn.q.weight", square, layers);
        Place("attn.k.weight", keyWidth * dim, layers);
        Place("attn.v.weight", keyWidth * dim, layers);
        Place("attn.o.weight", square, layers);
        Place("norm2.weight", dim, layers);
        Place("mlp.gate.weight", (long)hidden * dim, layers);
        Place("mlp.down.weight", (long)hidden * dim, layers);
        Place("mlp.up.weight", (long)hidden * dim, layers);
        Place("norm.weight", dim, 1);
        at += (double)length * (dim / heads);                                          // cosines and sines, which follow from the sizes
        if (!tied) Place("head.weight", (long)Config.Vocabulary * dim, 1);
        if (Header + 4 * at != _bytes.Length)
        {
            throw new CheckpointException(path, "file", $"it has {_bytes.Length} bytes, its header says {Header + 4 * at}; "
                + "it is cut short or no checkpoint of llama2.c.");
        }

        int Number(int i) => BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(4 * i));
        void Place(string name, long count, int times)
        {
            _places[name] = (long)at;
            at += (double)count * times;
        }
    }

    /// <summary>In all vocabularies of llama2.c token 1 begins a text, and where it comes again another one begins; 2 ends one.</summary>
    public static TextTokens Tokens { get; } = new(1, [1, 2]);

    /// <summary>
    /// The checkpoint at a path: the file itself, or the only .bin but vocabularies of a folder. Null where a config.json is, as all other models have one.
    /// </summary>
    public static string? Find(string path)
    {
        const string extension = ".bin";
        var isFolder = Directory.Exists(path);
        var folder = isFolder ? path : Path.GetDirectoryName(Path.GetFullPath(path));
        if (folder is null || File.Exists(Path.Combine(folder, "config.json"))) return null;
        if (!isFolder) return path.EndsWith(extension, StringComparison.OrdinalIgnoreCase) && File.Exists(path) ? path : null;
        var files = Directory.GetFiles(folder, "*" + extension).Where(static f => !Path.GetFileName(f).StartsWith("tok", StringComparison.OrdinalIgnoreCase));
        return files.ToList() is [var only] ? only : null;
    }

    /// <summary>What the header says.</summary>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public override Tensor Get(string path, Shape shape, Init init = Init.Normal, bool matrix = false)
    {
        var (layer, name) = (0, path);
        if (path.StartsWith("blocks.", StringComparison.Ordinal))
        {
            var dot = path.IndexOf('.', 7);
            (layer, name) = (int.Parse(path.AsSpan(7, dot - 7), System.Globalization.CultureInfo.InvariantCulture), path[(dot + 1)..]);
        }
        var start = _places[name] + (long)layer * shape.Count;
        var values = MemoryMarshal.Cast<byte, float>(_bytes.AsSpan(Header)).Slice((int)start, shape.Count);
        return Backend.Main.From(name is "attn.q.weight" or "attn.k.weight" ? HalfSplit(values, shape) : values, shape);
    }

    // Rows 2j and 2j + 1 of each head become j and j + d/2.
    private float[] HalfSplit(ReadOnlySpan<float> x, Shape shape)
    {
        int size = Config.HeadSize, cols = shape[1];
        var y = new float[x.Length];
        for (var row = 0; row < shape[0]; row++)
        {
            var (head, i) = (row / size, row % size);
            var to = head * size + i / 2 + (i % 2) * (size / 2);
            x.Slice(row * cols, cols).CopyTo(y.AsSpan(to * cols));
        }
        return y;
    }
}
