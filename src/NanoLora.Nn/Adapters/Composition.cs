namespace NanoLora.Nn;

/// <summary>
/// N frozen low-rank updates of one linear, mixed: y + Σ_n w_n s_n B_n A_n x, computed as one gated stack. The products are mixed, never the factors.
/// Its parts are adapters, so compositions nest. A module that has no update here counts with a zero update and keeps its weight.
/// </summary>
public sealed class Composition : Adapter
{
    private readonly Parameter? _a, _b, _owner, _absent;

    /// <summary>A composition of <paramref name="parts"/> (null where a module has no update of this linear) under a mixer.</summary>
    /// <param name="host">The linear.</param>
    /// <param name="parts">One update a module; read once, here, and frozen.</param>
    /// <param name="mixer">What gives the weights.</param>
    /// <param name="sharePresent">Share the weights among the modules that have an update here, instead of counting absent ones as zero. For softmax.</param>
    public Composition(Linear host, IReadOnlyList<Adapter?> parts, Mixer mixer, bool sharePresent = false)
    {
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
    public override Tensor Apply(Linear host, Tensor x, Tensor y) => _a is null ? y : x.LoraStack(y, _a, _b!, 1, Mixer.Weights(x, this), _owner, Column);

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
