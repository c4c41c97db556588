using NanoLora.Nn;

namespace NanoLora.Models;

// x = norm(E[token] + P[position] + S[segment]);   for each block   x = norm₁(x + o(attention(q x, k x, v x))),   x = norm₂(x + fc2(f(fc1 x)))
// features = tanh(pooler x₀),   scores = head(features)
//
// Devlin et al. 2018; Liu et al. 2019. Every token sees all others of its text. RoBERTa's table has rows for padding before that of position 0, one segment,
// and calls pooler and head classifier.dense and classifier.out_proj.

/// <summary>BERT and RoBERTa: encoders of texts, with the head of a sequence classifier, or without.</summary>
public sealed class Bert : TextClassifier
{
    private readonly BertConfig _config;
    private readonly Embedding _tokens, _positions, _segments;
    private readonly LayerNorm _norm;
    private readonly BertBlock[] _blocks;

    private Bert(BertConfig c, WeightSource w, NameMap names, string source) : base(w.Backend, names, source, c.Pooling)
    {
        _config = c;
        _tokens = Part("embed", w.Embedding("embed", c.Vocabulary, c.HiddenSize));
        _positions = Part("position", w.Embedding("position", c.Positions, c.HiddenSize));
        _segments = Part("segment", w.Embedding("segment", c.Segments, c.HiddenSize));
        _norm = Part("embed_norm", w.Norm("embed_norm", c.HiddenSize, c.Eps));
        _blocks = new BertBlock[c.Layers];
        for (var n = 0; n < c.Layers; n++) _blocks[n] = Part($"blocks.{n}", new BertBlock(w, c, n));
        if (c.Pooling == TextPooling.Pooler) SetPooler(w.Linear("pooler", c.HiddenSize, c.HiddenSize, wide: true));
        if (c.Labels.Count > 0) SetHead(w.Linear("head", c.Labels.Count, c.HiddenSize, wide: true), c.Labels);
    }

    /// <inheritdoc/>
    public override int Vocabulary => _config.Vocabulary;

    /// <inheritdoc/>
    public override int MaxPositions => _config.Positions - _config.FirstPosition;

    /// <inheritdoc/>
    public override int FeatureSize => _config.HiddenSize;

    /// <summary>The config.json that it was read from, or null.</summary>
    internal ConfigNode? Json { get; private init; }

    /// <summary>Reads a BERT, a RoBERTa or what is built alike (xlm-roberta, camembert), all weights frozen.</summary>
    /// <param name="path">A folder with config.json and the weights in one file or several, or the weight file in it.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="keepType">Let matrices in BF16 and F16 rest as they are; otherwise all is widened to F32. Head and pooler always are.</param>
    /// <param name="pooling">As <see cref="TextClassifier.Load(string, Backend, bool, TextPooling?)"/> has it.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged, the config asks for something that is not supported, or config and weights
    /// do not belong together.</exception>
    /// <exception cref="ArgumentException">A pooler is asked for where the file has none.</exception>
    public static new Bert Load(string path, Backend backend, bool keepType = true, TextPooling? pooling = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(backend);
        using var file = new TextFile(path, backend, keepType);
        if (!BertConfig.Reads(file.ModelType)) throw file.Json.Error("model_type", $"\"{file.ModelType}\" is none of {BertConfig.Known}.");
        return Read(file, pooling);
    }

    /// <summary>Builds the model of an open file.</summary>
    internal static Bert Read(TextFile file, TextPooling? pooling)
    {
        var (config, names) = BertConfig.Of(file, pooling);
        return file.Build(names, tied: false, w => new Bert(config, w, names, file.Path) { Json = file.Json }, ignored: config.Ignored);
    }

    /// <summary>A new model with random weights, all frozen.</summary>
    internal static Bert Create(BertConfig config, Backend backend, ulong seed) =>
        new(config, new RandomWeights(backend, seed), BertConfig.Names(config.Roberta, static _ => false), $"a new {(config.Roberta ? "RoBERTa" : "BERT")}");

    /// <inheritdoc/>
    public override void Save(string folder)
    {
        if (Json is not { } node) throw new InvalidOperationException($"{Source}: it came without a config and has none to write.");
        TextFile.Write(this, folder, json => ClassifierFile.Write(json, node.Json, this, standard: Pooling == TextPooling.Pooler));
    }

    /// <inheritdoc/>
    internal override void NewHead(HeadWeights head)
    {
        if (head.Pooler is { } pooler && (pooler.Bias.Length != FeatureSize || pooler.Weight.Length != FeatureSize * FeatureSize))
            throw new ArgumentException($"{Source}: a pooler of {pooler.Weight.Length} weights; [{FeatureSize}, {FeatureSize}] is expected.");
        base.NewHead(head);
        if (head.Pooler is not null) Pooling = TextPooling.Pooler;
    }

    private protected override Tensor States(Tensor tokens, Tensor? segments, ReadOnlySpan<int> lengths)
    {
        var (w, count) = (tokens.Workspace, tokens.Shape[1]);
        var mask = TextRows.Mask(w, lengths, count);
        segments ??= w.From([0], new Shape(1, 1));
        var x = _norm.Forward(_tokens.Forward(tokens) + _positions.Forward(Positions(w, count, lengths)) + _segments.Forward(segments));
        Trace?.Invoke("hidden.0", x);
        for (var n = 0; n < _blocks.Length; n++)
        {
            var y = _blocks[n].Forward(x, mask);
            x.Dispose();                                                               // the tape holds what it needs
            x = y;
            Trace?.Invoke($"hidden.{n + 1}", x);
        }
        Trace?.Invoke("last_hidden", x);
        return x;
    }

    // Rows of the table, I32 [1, T]. Padding beyond the longest text has the row of the last token: nobody sees it, and the table may end there.
    private Tensor Positions(Workspace w, int count, ReadOnlySpan<int> lengths)
    {
        var longest = TextRows.Longest(lengths, count);
        if (longest > MaxPositions) throw new ArgumentException($"{Source}: a text of {longest} tokens; the model has positions for {MaxPositions}.");
        var positions = new int[count];
        for (var t = 0; t < count; t++) positions[t] = _config.FirstPosition + Math.Min(t, longest - 1);
        return w.From(positions, new Shape(1, count));
    }
}

/// <summary>A block of a <see cref="Bert"/>: a norm stands after each addition.</summary>
internal sealed class BertBlock : Module
{
    private readonly int _heads;
    private readonly LayerNorm _norm1, _norm2;
    private readonly Linear _q, _k, _v, _o;
    private readonly Mlp _mlp;

    public BertBlock(WeightSource w, BertConfig c, int layer)
    {
        var (at, d) = ($"blocks.{layer}", c.HiddenSize);
        _heads = c.Heads;
        (_q, _k, _v, _o) = (Square("attn.q"), Square("attn.k"), Square("attn.v"), Square("attn.o"));
        _norm1 = Part("norm1", w.Norm($"{at}.norm1", d, c.Eps));
        _mlp = Part("mlp", w.Mlp($"{at}.mlp", d, c.IntermediateSize, c.Activation));
        _norm2 = Part("norm2", w.Norm($"{at}.norm2", d, c.Eps));

        Linear Square(string name) => Part(name, w.Linear($"{at}.{name}", d, d));
    }

    public Tensor Forward(Tensor x, Tensor? mask)                                      // [B, T, D]
    {
        using var scope = x.Workspace.Scope();
        x = _norm1.Forward(x + _o.After(i => _q.Forward(i[0]!).Attention(_k.Forward(i[0]!), _v.Forward(i[0]!), _heads, mask: i[1]), x, mask));
        return scope.Keep(_norm2.Forward(x + _mlp.HalfBlock(null, x)));
    }
}
