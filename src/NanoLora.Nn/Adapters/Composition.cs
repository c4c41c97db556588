namespace NanoLora.Nn;

/// <summary>
/// N frozen low-rank updates of one linear, mixed: y + Σ_n w_n s_n B_n A_n x, computed as one gated stack. The products are mixed, never the factors.
/// Its parts are adapters, so compositions nest. A module that has no update here counts with a zero update and keeps its weight.
/// </summary>
public sealed class Composition : Adapter
{
    private readonly Parameter? _a, _b, _owner, _absent, _biases;

    /// <summary>A composition of <paramref name="parts"/> (null where a module has no update of this linear) under a mixer.</summary>
    /// <param name="host">The linear.</param>
    /// <param name="parts">One update a module; read once, here, and frozen.</param>
    /// <param name="mixer">What gives the weights.</param>
    /// <param name="sharePresent">Share the weights among the modules that have an update here, instead of counting absent ones as zero. For softmax.</param>
    public Composition(Linear host, IReadOnlyList<Adapter?> parts, Mixer mixer, bool sharePresent = false)
    {
        foreach (var part in parts) if (part?.NotComposable is { } why) throw new ArgumentException($"Composition: an update of {host.Weight.Shape} {why}");
        (Parts, Mixer) = (parts, Part("mixer", mixer));
        var present = parts.Where(p => p is not null).Select(p => p!.Factors()).ToList();
        if (present.Count == 0) return;
        Column = parts.First(p => p is not null)!.Column;
        if (parts.Any(p => p is not null && p.Column != Column) || present.Any(f => f.In != host.In || f.Out != present[0].Out))
            throw new ArgumentException($"Composition: the updates do not all fit the same part of a linear {host.Weight.Shape}.");
        var cat = NanoLora.Nn.Factors.Cat(present, Enumerable.Repeat(1f, present.Count).ToArray());
        var main = host.Weight.Value.Workspace;
        var owner = parts.SelectMany((p, n) => p is null ? [] : Enumerable.Repeat(n, present[parts.Take(n).Count(q => q is not null)].Rank)).ToArray();
        using var a = main.From(cat.A, new Shape(cat.Rank, cat.In));
        using var b = main.From(cat.B, new Shape(cat.Out, cat.Rank));
        using var o = main.From(owner, new Shape(cat.Rank));
        (_a, _b, _owner) = (Own("A", a), Own("B", b), Own("owner", o));
        if (present.Any(static f => f.Bias is not null))
        {
            using var biases = Biases(host, present);
            _biases = Own("biases", biases);
        }
        if (!sharePresent || present.Count == parts.Count) return;
        using var absent = Constant(main.Backend, [.. parts.Select(p => p is null ? float.NegativeInfinity : 0f)]);
        _absent = Own("absent", absent);
    }

    /// <summary>The updates, one a module; null where a module has none here.</summary>
    public IReadOnlyList<Adapter?> Parts { get; }

    /// <summary>What gives the weights.</summary>
    public Mixer Mixer { get; }

    /// <summary>Whether the updates go with the composition, because nobody else holds their modules.</summary>
    internal bool OwnsParts { get; set; }

    /// <inheritdoc/>
    public override int Column { get; }

    /// <summary>-∞ for each module that has no update here and takes no part, 0 for the others; null where all take part.</summary>
    public Tensor? Absent => _absent;

    /// <inheritdoc/>
    public override Tensor Apply(Linear host, Tensor x, Tensor y)
    {
        if (_a is null) return y;
        var weights = Mixer.Weights(x, this);                                          // [N] or [G, N]
        y = x.LoraStack(y, _a, _b!, 1, weights, _owner, Column);
        if (_biases is null) return y;
        var groups = weights.Rows;
        var biases = weights.In(x.Workspace).Reshape(groups, Parts.Count).MatMul(_biases.Value);   // [G, out]
        return (y.Reshape(groups, y.Rows / groups, y.Cols) + biases.Reshape(groups, 1, y.Cols)).Reshape(y.Shape);
    }

    // [N, out]: of each module, 0 where it has none.
    private Tensor Biases(Linear host, List<Factors> present)
    {
        if (Column != 0 || present[0].Out != host.Out)
            throw new ArgumentException($"Composition: updates with a bias (lora_bias) cover all outputs of a linear {host.Weight.Shape}, not a part of them.");
        var (all, at) = (new float[Parts.Count * host.Out], 0);
        for (var n = 0; n < Parts.Count; n++) if (Parts[n] is not null && present[at++].Bias is { } bias) bias.CopyTo(all, n * host.Out);
        return host.Weight.Value.Workspace.From(all, new Shape(Parts.Count, host.Out));
    }

    /// <summary>The weights now, [N]; for mixers that give one row of weights for all inputs.</summary>
    public float[] Weights()
    {
        var workspace = new Workspace((_a ?? throw new InvalidOperationException("Composition: no module has an update here.")).Value.Backend);
        using var scope = workspace.Scope(grad: false);
        var weights = Mixer.Weights(workspace.Zeros(new Shape(1, _a.Shape[1])), this);
        if (weights.Count != Parts.Count)
            throw new InvalidOperationException("Composition: its mixer gives weights per row; there is no one update to merge or export.");
        return weights.ToArray();
    }

    /// <inheritdoc/>
    public override Factors Factors()
    {
        var weights = Weights();
        var present = Enumerable.Range(0, Parts.Count).Where(n => Parts[n] is not null).ToArray();
        return NanoLora.Nn.Factors.Cat([.. present.Select(n => Parts[n]!.Factors())], present.Select(n => weights[n]).ToArray());
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        if (!OwnsParts) return;
        foreach (var part in Parts) part?.Dispose();
    }

    internal static Tensor Constant(Backend backend, ReadOnlySpan<float> values) => backend.Main.From(values, new Shape(values.Length));
}
