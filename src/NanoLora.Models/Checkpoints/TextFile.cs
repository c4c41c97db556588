using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>The files of a language model while it is read: config.json and the weights beside it.</summary>
internal sealed class TextFile : IDisposable
{
    private const string WeightsName = "model.safetensors";

    // Tables that some files hold although they follow from the config.
    private static readonly string[] Derived = [".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias"];

    private readonly Backend _backend;
    private readonly bool _keepType;

    /// <summary>Opens the weights at a path, and the config beside them.</summary>
    /// <exception cref="CheckpointException">A file is missing or damaged, or the weights are quantised.</exception>
    public TextFile(string path, Backend backend, bool keepType, string config = "config.json")
    {
        (Path, _backend, _keepType) = (path, backend, keepType);
        var folder = Directory.Exists(path) ? path : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        Json = ConfigNode.Read(System.IO.Path.Combine(folder, config));
        foreach (var field in (ReadOnlySpan<string>)["quantization_config", "compression_config"])
            if (Json.Has(field)) throw Json.Error(field, "quantised weights of this kind are not supported; give the weights in F32, F16 or BF16.");
        Checkpoint = Checkpoint.Open(path);
    }

    /// <summary>The folder or file that was asked for.</summary>
    public string Path { get; }

    /// <summary>The config.</summary>
    public ConfigNode Json { get; }

    /// <summary>Its family.</summary>
    /// <exception cref="CheckpointException">The config does not say.</exception>
    public string ModelType => Json.Text("model_type");

    /// <summary>The weights.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>The prefixes of a family's names, the one that this file has first.</summary>
    /// <param name="prefix">What whole models have before the names of their parts.</param>
    /// <param name="probe">The name of a tensor that every model of the family has.</param>
    public string[] Prefixes(string prefix, string probe) => Has(probe) && !Has(prefix + probe) ? ["", prefix] : [prefix, ""];

    /// <summary>Whether it is read for a classifier, which has no use for a head over tokens and may have one over classes.</summary>
    public bool ForClasses { get; init; }

    /// <summary>Whether the file has a tensor of that name.</summary>
    public bool Has(string name) => Checkpoint.TryGet(name, out _);

    /// <summary>Whether the file has the parameter at a path.</summary>
    public bool HasPath(NameMap names, string path) => names.Theirs(path).Any(Has);

    /// <summary>The parameters in the file, by path.</summary>
    public FileWeights Weights(NameMap names, Predicate<string>? transposed = null) =>
        new(_backend, Checkpoint, names, static (_, shape) => shape, _keepType, transposed) { Headless = ForClasses };

    /// <summary>Adds rules for parts that whole models have behind a prefix, and others do not.</summary>
    public static NameMap AddNames(NameMap map, string[] prefixes, params ReadOnlySpan<(string Ours, string Theirs)> parts)
    {
        foreach (var (ours, theirs) in parts) map.Add(ours, Array.ConvertAll(prefixes, prefix => prefix + theirs));
        return map;
    }

    /// <summary>A number of heads that divides the width.</summary>
    /// <exception cref="CheckpointException">It does not.</exception>
    public static int Heads(ConfigNode node, string field, int fallback, int width)
    {
        var heads = node.Int(field, fallback);
        return width % heads == 0 ? heads : throw node.Error(field, $"a width of {width} does not divide into {heads} heads.");
    }

    /// <summary>Builds the model; where that fails nothing is left of it. Tensors that it has no place for are an error.</summary>
    /// <param name="names">How the family calls the parts.</param>
    /// <param name="tied">Whether the head is the embedding: then the file need not hold one, or must hold the same.</param>
    /// <param name="build">The model's constructor.</param>
    /// <param name="transposed">Whether the family holds the matrix at a path as [in, out].</param>
    /// <param name="ignored">Names of tensors that are of no concern; what ends in a dot stands for all that begin so.</param>
    public T Build<T>(NameMap names, bool tied, Func<WeightSource, T> build, Predicate<string>? transposed = null, params string[] ignored) where T : Model
    {
        var weights = Weights(names, transposed);
        var copy = tied && !ForClasses ? CopyOfEmbedding(names) : null;
        T model;
        try { model = build(weights); }
        catch (OverflowException e)
        {
            weights.Abandon();
            throw Json.Error("sizes", "they make a tensor of more than 2^31 - 1 elements.", e);
        }
        catch
        {
            weights.Abandon();
            throw;
        }
        try
        {
            weights.NothingElse(IsOfNoConcern);
            if (model is ITextModel text) text.Tokens = TextTokens.Of(Json, text.Vocabulary);
        }
        catch
        {
            model.Dispose();
            throw;
        }
        return model;

        bool IsOfNoConcern(string name) =>
            name == copy || Array.Exists(Derived, tail => name.EndsWith(tail, StringComparison.Ordinal))
            || Array.Exists(ignored, other => name == other || other.EndsWith('.') && name.StartsWith(other, StringComparison.Ordinal))
            || ForClasses && (name.StartsWith($"{ClassifierFile.Score}.", StringComparison.Ordinal) || names.Ours(name) is "head.weight" or "head.bias");
    }

    /// <summary>The function that a config names.</summary>
    /// <exception cref="CheckpointException">An unknown name.</exception>
    public static Activation Activation(ConfigNode node, string field, string fallback)
    {
        try { return Activations.Named(node.Text(field, fallback), node.Path); }
        catch (NotSupportedException e) { throw node.Error(field, e.Message, e); }
    }

    /// <summary>Writes a model's folder: weights, then the config, without which they are no model. All are on the disk before one takes its name.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">Where to.</param>
    /// <param name="describe">Writes the config.</param>
    /// <param name="transposed">Whether the family holds the matrix at a path as [in, out].</param>
    public static void Write(Model model, string folder, Action<Utf8JsonWriter> describe, Predicate<string>? transposed = null)
    {
        var content = TensorFiles.WeightsOf(model, System.IO.Path.Combine(folder, WeightsName), null, transposed);
        using var config = new MemoryStream();
        using (var json = new Utf8JsonWriter(config, new JsonWriterOptions { Indented = true, NewLine = "\n" })) describe(json);
        Directory.CreateDirectory(folder);
        AtomicFile.WriteTogether(folder, [(WeightsName, content), ("config.json", stream => stream.Write(config.ToArray()))]);
    }

    /// <inheritdoc/>
    public void Dispose() => Checkpoint.Dispose();

    // A file may hold a tied head once more. One that differs is no tied head, whatever the config says.
    private string? CopyOfEmbedding(NameMap names)
    {
        var head = names.Theirs("head.weight").FirstOrDefault(Has);
        var embedding = names.Theirs("embed.weight").FirstOrDefault(Has);
        if (head is null || embedding is null) return null;
        var (a, b) = (Checkpoint[head], Checkpoint[embedding]);
        var same = a.DType == b.DType && a.Length == b.Length;
        for (long at = 0; same && at < a.Length; at += 1 << 20)
        {
            var count = (int)Math.Min(1 << 20, a.Length - at);
            same = Checkpoint.Bytes(a, at, count).SequenceEqual(Checkpoint.Bytes(b, at, count));
        }
        return same ? head : throw new CheckpointException(Checkpoint.Path, head,
            $"the config says that the head is the embedding, and the file has another one; set tie_word_embeddings to false in {Json.Path}.");
    }
}
