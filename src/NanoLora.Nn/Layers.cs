namespace NanoLora.Nn;

/// <summary>Brings each row to mean 0 and variance 1, then scales and shifts (Ba, Kiros, Hinton 2016).</summary>
public sealed class LayerNorm : Module
{
    private readonly Parameter _weight;
    private readonly Parameter? _bias;
    private readonly float _eps;

    /// <summary>A norm over the given weight and bias [cols]; it holds their storage, the tensors given stay with their scope or the caller.</summary>
    public LayerNorm(Tensor weight, Tensor? bias, float eps)
    {
        _weight = Own("weight", weight);
        if (bias is not null) _bias = Own("bias", bias);
        _eps = eps;
    }

    /// <summary>Norms each row.</summary>
    public Tensor Forward(Tensor x) => x.LayerNorm(_weight, _bias, _eps);
}

/// <summary>Brings each row to mean square 1, then scales (Zhang and Sennrich 2019).</summary>
public sealed class RmsNorm : Module
{
    private readonly Parameter _weight;
    private readonly float _eps;
    private readonly bool _shifted;

    /// <summary>A norm over the given weight [cols]; it holds its storage, the tensor given stays with its scope or the caller.</summary>
    /// <param name="weight">[cols]</param>
    /// <param name="eps">Added to the mean square.</param>
    /// <param name="shifted">Scale by 1 + weight, as Gemma stores it.</param>
    public RmsNorm(Tensor weight, float eps, bool shifted = false) => (_weight, _eps, _shifted) = (Own("weight", weight), eps, shifted);

    /// <summary>Norms each row.</summary>
    public Tensor Forward(Tensor x) => x.RmsNorm(_weight!, _eps, _shifted);
}

/// <summary>A table with a row for each token or position.</summary>
public sealed class Embedding : Module
{
    /// <summary>An embedding over the given table [rows, cols]; it holds its storage, the tensor given stays with its scope or the caller.</summary>
    public Embedding(Tensor weight) => Weight = Own("weight", weight);

    /// <summary>[rows, cols]</summary>
    public Parameter Weight { get; }

    /// <summary>The rows that the ids name: I32 [..] to [.., cols].</summary>
    /// <exception cref="ArgumentException">An id is not a row of the table.</exception>
    public Tensor Forward(Tensor ids) => Weight.Value.In(ids.Workspace).Embedding(ids);
}

/// <summary>Which function stands between the two linears of an MLP.</summary>
public enum Activation
{
    /// <summary>x Φ(x)</summary>
    Gelu,
    /// <summary>GELU's tanh form.</summary>
    GeluTanh,
    /// <summary>x σ(1.702 x)</summary>
    QuickGelu,
    /// <summary>x σ(x)</summary>
    Silu,
    /// <summary>max(x, 0)</summary>
    Relu,
}

/// <summary>The functions of <see cref="Activation"/>.</summary>
public static class Activations
{
    /// <summary>Applies the function.</summary>
    public static Tensor Apply(this Activation activation, Tensor x) => activation switch
    {
        Activation.Gelu => x.Gelu(),
        Activation.GeluTanh => x.GeluTanh(),
        Activation.QuickGelu => x.QuickGelu(),
        Activation.Silu => x.Silu(),
        _ => x.Relu(),
    };

    /// <summary>f(gate) ∘ up</summary>
    /// <exception cref="NotSupportedException">The function has no gated form.</exception>
    public static Tensor Gate(this Activation activation, Tensor gate, Tensor up) => activation switch
    {
        Activation.Gelu => gate.Geglu(up),
        Activation.GeluTanh => gate.GegluTanh(up),
        Activation.Silu => gate.Swiglu(up),
        Activation.Relu => gate.Reglu(up),
        _ => throw new NotSupportedException($"{activation} has no gated form."),
    };

    /// <summary>The function that a config's hidden_act names.</summary>
    /// <exception cref="NotSupportedException">An unknown name.</exception>
    public static Activation Named(string name, string file) => name switch
    {
        "gelu" => Activation.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_tanh" => Activation.GeluTanh,
        "quick_gelu" => Activation.QuickGelu,
        "silu" or "swish" => Activation.Silu,
        "relu" => Activation.Relu,
        _ => throw new NotSupportedException($"{file}: hidden_act \"{name}\" is not supported; "
            + "known are gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, relu."),
    };
}

/// <summary>Two linears with a function between them.</summary>
public sealed class Mlp : Module
{
    private readonly Activation _activation;

    /// <summary>An MLP of the given linears.</summary>
    public Mlp(Linear fc1, Linear fc2, Activation activation) => (Fc1, Fc2, _activation) = (Part("fc1", fc1), Part("fc2", fc2), activation);

    /// <summary>The linear that widens.</summary>
    public Linear Fc1 { get; }

    /// <summary>The linear that narrows.</summary>
    public Linear Fc2 { get; }

    /// <summary>fc2(f(fc1(x)))</summary>
    public Tensor Forward(Tensor x) => Fc2.Forward(Hidden(x));

    /// <summary>fc2(f(fc1(norm x))): half a block, recomputed where the workspace says so; without norm where it stands elsewhere.</summary>
    internal Tensor HalfBlock(LayerNorm? norm, Tensor x) => Fc2.AfterRows(x => Hidden(norm?.Forward(x) ?? x), x);

    private Tensor Hidden(Tensor x) => _activation.Apply(Fc1.Forward(x));
}
