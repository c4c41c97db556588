using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>
/// A vision transformer (Dosovitskiy et al. 2020, arXiv 2010.11929): patches become tokens, a class token may stand before them, positions are added, blocks
/// mix, and a head sees the pooled result. One class for all families; what is in the file decides. Images are [B, C, Y, X] F32, normalised as the model
/// wants (<see cref="VitConfig.ImageMean"/>). Images of another size than the position table's are taken: the table is resampled as the family does it.
/// </summary>
public sealed class Vit : Classifier, IImageModel
{
    private readonly Linear _patch;
    private readonly Parameter? _cls, _distillation, _registers;
    private readonly Parameter _position;
    private readonly LayerNorm? _preNorm;
    private readonly LayerNorm _norm;
    private readonly TransformerBlock[] _blocks;
    private readonly AttentionPool? _pool;
    private readonly Linear? _fileHead, _distillationHead;
    private readonly VitConfig _config;

    private Vit(VitConfig config, WeightSource weights, NameMap names, string source, bool hasHead) : base(weights.Backend, names, source)
    {
        // Where a tensor is missing or misshapen, those before it go back.
        try
        {
            var c = _config = config;
            int d = c.HiddenSize, p = c.PatchSize;
            _patch = Part("patch", weights.Linear("patch", d, checked(c.Channels * p * p), c.PatchBias));
            _cls = c.ClassToken ? Token(weights, "cls_token", 1) : null;
            _distillation = c.DistillationToken ? Token(weights, "distillation_token", 1) : null;
            _registers = c.Registers > 0 ? Token(weights, "registers", c.Registers) : null;
            if (c.MaskToken) Token(weights, "mask_token", 1);                              // kept for saving
            _position = Token(weights, "position", checked(c.PositionedPrefix + c.Grid.Rows * c.Grid.Columns));
            if (c.PreNorm) _preNorm = Part("pre_norm", weights.Norm("pre_norm", d, c.Eps));
            _blocks = new TransformerBlock[c.Layers];
            for (var n = 0; n < c.Layers; n++) _blocks[n] = Part($"blocks.{n}", Block(weights, $"blocks.{n}"));
            var norm = c.NormAfterPooling ? "fc_norm" : "norm";
            _norm = Part(norm, weights.Norm(norm, d, c.Eps));
            if (c.Pooling == Pooling.Attention) _pool = Part("pool", new AttentionPool(weights, "pool", c));
            if (!hasHead) return;
            if (c.Pooling == Pooling.ClsAndDistillation)
            {
                _fileHead = weights.Linear("head", c.Labels.Count, d);
                _distillationHead = Part("distillation_head", weights.Linear("distillation_head", c.Labels.Count, d));
            }
            else if (c.ProjectionSize > 0) _fileHead = weights.Linear("head", c.ProjectionSize, d, bias: false);
            else _fileHead = weights.Linear("head", c.Labels.Count, c.FeatureSize);
            SetHead(_fileHead, c.Labels);
        }
        catch
        {
            Dispose();
            weights.Abandon();
            throw;
        }
    }

    /// <summary>What the model is made of, with the labels it has now.</summary>
    public VitConfig Config => _config with { Labels = Labels };

    /// <inheritdoc/>
    public ImageForm Images => new(_config.Channels, _config.ImageRows, _config.ImageColumns, _config.ImageMean, _config.ImageStd);

    /// <summary>The width of what the head sees.</summary>
    public int FeatureSize => _config.FeatureSize;

    /// <summary>The files beside the weights that it was read from, or null.</summary>
    internal VitFile? File { get; private init; }

    /// <summary>
    /// Reads a model, all weights frozen. The folder has a config.json and the weights; a PyTorch file of the vit-pytorch package comes without
    /// config.
    /// </summary>
    /// <param name="path">The folder, or the weight file in it.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="keepType">Let matrices in BF16 and F16 rest as they are; otherwise all is widened to F32.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged, the config asks for something that is not supported, or config and weights
    /// do not belong together.</exception>
    public static Vit Load(string path, Backend backend, bool keepType = false)
    {
        ArgumentNullException.ThrowIfNull(backend);
        using var checkpoint = Checkpoint.Open(path);
        var file = VitFile.Read(path, checkpoint);
        var weights = new FileWeights(backend, checkpoint, file.Names, (at, shape) => VitNames.FileShape(file.Config, at, shape), keepType);
        var model = new Vit(file.Config, weights, file.Names, path, file.HasHead) { File = file };
        try { weights.NothingElse(file.Ignored); }
        catch
        {
            model.Dispose();
            throw;
        }
        return model;
    }

    /// <summary>
    /// A new model with random weights of deviation 1/√in (tokens and positions 0.02), biases 0 and norms 1; the same seed gives the same weights. All start
    /// frozen: mark with <see cref="Module.Train"/>.
    /// </summary>
    /// <param name="config">What it is made of; with labels it gets a head.</param>
    /// <param name="backend">Where the weights are put.</param>
    /// <param name="seed">Names the draw.</param>
    /// <exception cref="ArgumentException">Sizes that do not go together.</exception>
    public static Vit Create(VitConfig config, Backend backend, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        const string source = "a new Vit";
        config = config.Checked(source);
        _ = Activations.Named(config.Activation, source);
        var names = VitNames.Of(config.Family, static _ => false, config.Pooling == Pooling.ClsAndDistillation);
        return new Vit(config, new RandomWeights(backend, seed), names, source, config.Labels.Count > 0 || config.ProjectionSize > 0);
    }

    /// <summary>
    /// Writes config.json and model.safetensors, in the family's own names, into a folder, which is made if need be. Loading gives the same model.
    /// </summary>
    /// <exception cref="InvalidOperationException">An adapter is attached, or the family's files have no place for the head.</exception>
    /// <exception cref="CheckpointException">A file cannot be written.</exception>
    public void Save(string folder) => VitFile.Write(this, folder);

    /// <inheritdoc/>
    public override Tensor Features(Tensor inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using var scope = inputs.Workspace.Scope();
        return scope.Keep(Pool(Hidden(inputs)));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor inputs)
    {
        if (_distillationHead is null || HeadIsNew)
        {
            var y = base.Forward(inputs);
            if (_config.ProjectionSize > 0 && !HeadIsNew) Trace?.Invoke("image_embeds", y);
            return y;
        }
        var both = Features(inputs);                                                   // [B, 2 D]
        var a = _fileHead!.Forward(both.Slice(-1, 0, _config.HiddenSize));
        var b = _distillationHead.Forward(both.Slice(-1, _config.HiddenSize, 2 * _config.HiddenSize));
        Trace?.Invoke("cls_logits", a);
        Trace?.Invoke("distillation_logits", b);
        return (a + b) * 0.5f;
    }

    // What leaves the last block, [B, T, D].
    private Tensor Hidden(Tensor images)
    {
        var c = _config;
        if (images.Shape.Rank != 4 || images.Shape[1] != c.Channels || images.Shape[2] < c.PatchSize || images.Shape[3] < c.PatchSize)
            throw new ArgumentException($"Vit: images {images.Shape}; {Source} wants [B, {c.Channels}, Y, X] of {c.PatchSize} rows and columns at least.");
        var x = Embed(images);
        if (_preNorm is not null) x = _preNorm.Forward(x);
        Trace?.Invoke("hidden.0", x);
        for (var n = 0; n < _blocks.Length; n++)
        {
            var y = _blocks[n].Forward(x);
            x.Dispose();                                                               // the tape holds what it needs
            x = y;
            Trace?.Invoke($"hidden.{n + 1}", x);
        }
        return x;
    }

    private Tensor Embed(Tensor images)
    {
        var w = images.Workspace;
        int batch = images.Shape[0], d = _config.HiddenSize, k = _config.PositionedPrefix;
        var position = Positions(w, (images.Shape[2] / _config.PatchSize, images.Shape[3] / _config.PatchSize));           // [K + G, D]
        Trace?.Invoke("position_embeddings", position);
        var x = _patch.Forward(images.Patches(_config.PatchSize)) + position.Slice(0, k, position.Shape[0]);               // [B, G, D]
        if (_config.PrefixTokens == 0) return x;
        var tokens = Prefix(w);                                                                                            // [P, D]
        var entries = position.Slice(0, 0, k);
        if (k > 0) tokens = k == tokens.Shape[0] ? tokens + entries : Tensor.Concat(0, tokens.Slice(0, 0, k) + entries, tokens.Slice(0, k, tokens.Shape[0]));
        return Tensor.Concat(1, tokens.Reshape(1, tokens.Shape[0], d).Expand(new Shape(batch, tokens.Shape[0], d)), x);
    }

    private Tensor Prefix(Workspace w)
    {
        var parts = new List<Tensor>(3);
        foreach (var token in (ReadOnlySpan<Parameter?>)[_cls, _distillation, _registers]) if (token is not null) parts.Add(token.Value.In(w));
        return parts.Count == 1 ? parts[0] : Tensor.Concat(0, [.. parts]);
    }

    private Tensor Positions(Workspace w, (int Rows, int Columns) grid)
    {
        var table = _position.Value.In(w);
        if (grid == _config.Grid) return table;
        var k = _config.PositionedPrefix;
        var matrix = PositionTable.Matrix(w, _config.Grid, grid, _config.Antialias);
        var patches = matrix.MatMul(table.Slice(0, k, table.Shape[0]));
        return k == 0 ? patches : Tensor.Concat(0, table.Slice(0, 0, k), patches);
    }

    private Tensor Pool(Tensor x)
    {
        int batch = x.Shape[0], tokens = x.Shape[1], prefix = _config.PrefixTokens;
        if (!_config.NormAfterPooling) x = _norm.Forward(x);
        Trace?.Invoke("last_hidden", x);
        var y = _config.Pooling switch
        {
            Pooling.Mean => x.Mean(1),
            Pooling.MeanOfPatches => x.Slice(1, prefix, tokens).Mean(1),
            Pooling.ClsAndMeanOfPatches => Tensor.Concat(-1, First(0), x.Slice(1, prefix, tokens).Mean(1)),
            Pooling.ClsAndDistillation => Tensor.Concat(-1, First(0), First(1)),
            Pooling.Attention => _pool!.Forward(x),
            _ => First(0),
        };
        if (_config.NormAfterPooling) y = _norm.Forward(y);
        Trace?.Invoke(_config.Pooling == Pooling.Attention ? "pooler_output" : "pooled", y);
        return y;

        Tensor First(int at) => x.Slice(1, at, at + 1).Reshape(batch, x.Cols);
    }

    private Parameter Token(WeightSource weights, string path, int count)
    {
        using var value = weights.Get(path, new Shape(count, _config.HiddenSize));
        return Own(path, value);
    }

    private TransformerBlock Block(WeightSource w, string at)
    {
        var c = _config;
        int d = c.HiddenSize, inner = c.Heads * c.HeadSize;
        var norm1 = w.Norm($"{at}.norm1", d, c.Eps);
        var attention = c.FusedQkv ? Fused(w, $"{at}.attn") : new SelfAttention(Qkv("q"), Qkv("k"), Qkv("v"), w.Linear($"{at}.attn.o", d, inner), c.Heads);
        var norm2 = w.Norm($"{at}.norm2", d, c.Eps);
        Module mlp = c.Gated
            ? new GatedMlp(w.Linear($"{at}.mlp.in", 2 * c.IntermediateSize, d), w.Linear($"{at}.mlp.out", d, c.IntermediateSize))
            : w.Mlp($"{at}.mlp", d, c.IntermediateSize, c.Activation);
        if (!c.LayerScale) return new TransformerBlock(norm1, attention, norm2, mlp);
        using var scale1 = w.Get($"{at}.scale1", new Shape(d), Init.Ones);
        using var scale2 = w.Get($"{at}.scale2", new Shape(d), Init.Ones);
        return new TransformerBlock(norm1, attention, norm2, mlp, scale1, scale2);

        Linear Qkv(string name) => w.Linear($"{at}.attn.{name}", inner, d, c.QkvBias);
    }

    private SelfAttention Fused(WeightSource w, string at)
    {
        var c = _config;
        int d = c.HiddenSize, inner = c.Heads * c.HeadSize;
        var (qkv, o) = (w.Linear($"{at}.qkv", 3 * inner, d, c.QkvBias), w.Linear($"{at}.o", d, inner));
        if (!c.QkNorm) return new SelfAttention(qkv, o, c.Heads);
        return new SelfAttention(qkv, o, c.Heads, w.Norm($"{at}.q_norm", c.HeadSize, c.Eps), w.Norm($"{at}.k_norm", c.HeadSize, c.Eps));
    }
}
