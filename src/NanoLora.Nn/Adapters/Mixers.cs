namespace NanoLora.Nn;

/// <summary>
/// What gives the weights of a composition: it sees the input and the stack, and returns one weight per module, [N], or one per group of rows, [G, N],
/// where G divides the rows of x. One mixer may be shared by many matrices (one v for the model) or owned by one: who holds the reference decides.
/// </summary>
public abstract class Mixer : Module
{
    /// <summary>The weights for this input.</summary>
    public abstract Tensor Weights(Tensor x, Composition stack);
}

/// <summary>The same weight for each module, times a scale: scale / N. Nothing trains.</summary>
public sealed class UniformMixer : Mixer
{
    private readonly Parameter _weights;

    /// <summary>Weights scale / n each, on a backend.</summary>
    public UniformMixer(Backend backend, int n, float scale = 1)
    {
        var values = new float[n];
        Array.Fill(values, scale / n);
        using var weights = Composition.Constant(backend, values);
        _weights = Own("weights", weights);
    }

    /// <inheritdoc/>
    public override Tensor Weights(Tensor x, Composition stack) => _weights;
}

/// <summary>Given weights, [N]: found by a search, or the result of a training. Nothing trains.</summary>
public sealed class FixedMixer : Mixer
{
    private readonly Parameter _weights;

    /// <summary>The given weights, one a module.</summary>
    public FixedMixer(Backend backend, ReadOnlySpan<float> weights)
    {
        using var values = Composition.Constant(backend, weights);
        _weights = Own("weights", values);
    }

    /// <inheritdoc/>
    public override Tensor Weights(Tensor x, Composition stack) => _weights;
}

/// <summary>How a learned mixer makes weights of its numbers v.</summary>
public enum MixerKind
{
    /// <summary>softmax(v): the method. dv_i = v̂_i (g_i - Σ_j v̂_j g_j).</summary>
    Softmax,
    /// <summary>v itself.</summary>
    Free,
    /// <summary>v held within [0, 1].</summary>
    Clamped,
    /// <summary>The nearest point of the simplex to v.</summary>
    Sparsemax,
    /// <summary>An ablation: softmax whose denominator passes no gradient, dv_i = v̂_i g_i. Right weights, wrong derivative.</summary>
    DetachedSoftmax,
}

/// <summary>Weights that are trained: a function of v [N], optionally times a trained scale β (Asadi et al. 2024, arXiv 2402.15414, equation 4).</summary>
public sealed class LearnedMixer : Mixer
{
    private readonly MixerKind _kind;

    /// <summary>A mixer over v, all equal at the start, so that training starts at the uniform composition. v and β train.</summary>
    /// <param name="backend">Where v lies.</param>
    /// <param name="n">The number of modules.</param>
    /// <param name="kind">How weights are made of v.</param>
    /// <param name="start">The first value of each v; 1 for softmax, 1 / N where v is the weight itself.</param>
    /// <param name="beta">A trained scale [1], possibly shared with other mixers, or null.</param>
    /// <param name="shared">The v of another mixer, to share it; null for one of its own.</param>
    public LearnedMixer(Backend backend, int n, MixerKind kind = MixerKind.Softmax, float? start = null, Parameter? beta = null, Parameter? shared = null)
    {
        _kind = kind;
        var values = new float[n];
        Array.Fill(values, start ?? (kind is MixerKind.Free or MixerKind.Clamped ? 1f / n : 1f));
        using var v = Composition.Constant(backend, values);
        V = shared is null ? Own("v", v) : Own("v", shared);
        V.Trains = true;
        if (beta is null) return;
        Beta = Own("beta", beta);
        Beta.Trains = true;
    }

    /// <summary>The trained numbers, [N].</summary>
    public Parameter V { get; }

    /// <summary>The trained scale, [1], or null.</summary>
    public Parameter? Beta { get; }

    /// <summary>Puts values in the place of v, to start a training elsewhere or to go on from known numbers.</summary>
    /// <exception cref="ArgumentException">Another number of values than modules.</exception>
    public void SetV(ReadOnlySpan<float> values)
    {
        if (values.Length != V.Value.Count) throw new ArgumentException($"LearnedMixer.SetV: {values.Length} values for {V.Value.Count} modules.");
        V.Value.Backend.Upload(values, V.Value);
    }

    /// <summary>Puts a value in the place of β, also for the mixers that share it.</summary>
    /// <exception cref="InvalidOperationException">There is no β.</exception>
    public void SetBeta(float value)
    {
        if (Beta is null) throw new InvalidOperationException("LearnedMixer.SetBeta: this mixer has no β; make it with one.");
        Beta.Value.Backend.Fill(Beta.Value, value);
    }

    /// <inheritdoc/>
    public override Tensor Weights(Tensor x, Composition stack)
    {
        var v = V.Value.In(x.Workspace);
        var weights = _kind switch
        {
            MixerKind.Softmax => (stack.Absent is { } absent ? v + absent : v).Softmax(),
            MixerKind.Clamped => v.Clamp01(),
            MixerKind.Sparsemax => v.Sparsemax(),
            MixerKind.DetachedSoftmax => (v - (v - v.LogSoftmax()).Detach()).Exp(),      // v - ln Σ e^v, the sum a constant
            _ => v,
        };
        return Beta is null ? weights : weights * Beta.Value.In(x.Workspace);
    }
}

/// <summary>Weights that come with each request: set for a workspace, [N] or [G, N], used by the work done in it, and by nobody else's.</summary>
public sealed class GivenMixer : Mixer
{
    /// <summary>Sets the weights of the work done in <paramref name="workspace"/>; the tensor stays the caller's.</summary>
    public void Set(Workspace workspace, Tensor weights) => workspace.Set(this, weights);

    /// <inheritdoc/>
    public override Tensor Weights(Tensor x, Composition stack) => x.Workspace.Get<Tensor>(this)
        ?? throw new InvalidOperationException("GivenMixer: this workspace has no weights; give it some with Set before running the model.");
}
