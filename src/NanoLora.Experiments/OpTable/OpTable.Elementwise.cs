namespace NanoLora.Experiments;

public static partial class OpTable
{
    private static readonly int[][][] Lengths = [Of(S(1)), Of(S(7)), Of(S(8)), Of(S(9)), Of(S(15)), Of(S(33)), Of(S(3, 5)), Of(S()), Of(S(129, 257))];

    private static readonly int[][][] Pairs =
    [
        Of(S(9), S(9)), Of(S(3, 5), S(5)), Of(S(3, 5), S(1)), Of(S(3, 5), S()), Of(S(5), S(2, 3, 5)), Of(S(2, 1, 5), S(3, 1)), Of(S(4, 1), S(1, 6)),
        Of(S(2, 3, 4, 5), S(3, 1, 5)), Of(S(7, 2, 33), S(1, 1, 33)), Of(S(129, 257), S(129, 257)), Of(S(129, 257), S(257)),
    ];

    private static readonly int[][][] Alike = [Of(S(1), S(1)), Of(S(3, 7), S(3, 7)), Of(S(33), S(33)), Of(S(129, 257), S(129, 257))];

    private static OpRow[] Elementwise() =>
    [
        Unary<Gelu>(nameof(Tensor.Gelu), static x => x.Gelu(), Gelu),
        Unary<GeluTanh>(nameof(Tensor.GeluTanh), static x => x.GeluTanh(), GeluTanh),
        Unary<QuickGelu>(nameof(Tensor.QuickGelu), static x => x.QuickGelu(), static x => x * Dense.Sigmoid(1.702 * x)),
        Unary<Silu>(nameof(Tensor.Silu), static x => x.Silu(), Silu),
        Unary<Relu>(nameof(Tensor.Relu), static x => x.Relu(), static x => Math.Max(x, 0)),
        Unary<Sigmoid>(nameof(Tensor.Sigmoid), static x => x.Sigmoid(), Dense.Sigmoid),
        Unary<Tanh>(nameof(Tensor.Tanh), static x => x.Tanh(), Math.Tanh),
        Unary<Exp>(nameof(Tensor.Exp), static x => x.Exp(), Math.Exp, Input.Normal),
        Unary<Log>(nameof(Tensor.Log), static x => x.Log(), Math.Log, Input.Positive),
        Unary<Sqrt>(nameof(Tensor.Sqrt), static x => x.Sqrt(), Math.Sqrt, Input.Positive),
        Unary<Rsqrt>(nameof(Tensor.Rsqrt), static x => x.Rsqrt(), static x => 1 / Math.Sqrt(x), Input.Positive),
        Unary<Square>(nameof(Tensor.Square), static x => x.Square(), static x => x * x),
        Unary<Abs>(nameof(Tensor.Abs), static x => x.Abs(), Math.Abs),
        Unary<Softplus>(nameof(Tensor.Softplus), static x => x.Softplus(), static x => Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x)))),
        Unary<Erf>(nameof(Tensor.Erf), static x => x.Erf(), Dense.Erf),
        Unary<Clamp01>(nameof(Tensor.Clamp01), static x => x.Clamp01(), static x => Math.Clamp(x, 0, 1), Input.Normal),

        Binary<Gated<Silu>>(nameof(Tensor.Swiglu), static (a, b) => a.Swiglu(b), static (a, b) => Silu(a) * b, Alike),
        Binary<Gated<Gelu>>(nameof(Tensor.Geglu), static (a, b) => a.Geglu(b), static (a, b) => Gelu(a) * b, Alike),
        Binary<Gated<GeluTanh>>(nameof(Tensor.GegluTanh), static (a, b) => a.GegluTanh(b), static (a, b) => GeluTanh(a) * b, Alike),
        Binary<Gated<Relu>>(nameof(Tensor.Reglu), static (a, b) => a.Reglu(b), static (a, b) => Math.Max(a, 0) * b, Alike),

        Binary<Add>("op_Addition", static (a, b) => a + b, static (a, b) => a + b, Pairs),
        Binary<Subtract>("op_Subtraction", static (a, b) => a - b, static (a, b) => a - b, Pairs),
        Binary<Multiply>("op_Multiply", static (a, b) => a * b, static (a, b) => a * b, Pairs),
        Binary<Divide>("op_Division", static (a, b) => a / b, static (a, b) => a / b, Pairs, Input.AwayFromZero),
        new("op_Multiply", "by a number", [Input.Wide], Lengths, static x => x[0] * -1.75f, static x => x[0].Map(static x => -1.75 * x)),
        new("op_Multiply", "a number by", [Input.Wide], Lengths, static x => 0.3f * x[0], static x => x[0].Map(static x => 0.3f * x)),
        new("op_UnaryNegation", "", [Input.Wide], Lengths, static x => -x[0], static x => x[0].Map(static x => -x)),
        new(nameof(Tensor.Scale), "", [Input.Wide], Lengths, static x => x[0].Scale(2.5f), static x => x[0].Map(static x => 2.5 * x)),
    ];

    private static OpRow Unary<T>(string method, Func<Tensor, Tensor> run, Func<double, double> f, Input? input = null) where T : unmanaged, IUnary =>
        new(method, "", [input ?? Input.Wide], Lengths, x => run(x[0]), x => x[0].Map(f)) { Bodies = new UnaryBodies<T>() };

    private static OpRow Binary<T>(string method, Func<Tensor, Tensor, Tensor> run, Func<double, double, double> f, int[][][] shapes, Input? b = null)
        where T : unmanaged, IBinary =>
        new(method, "", [Input.Normal, b ?? Input.Normal], shapes, x => run(x[0], x[1]), x => Dense.Zip(x[0], x[1], f)) { Bodies = new BinaryBodies<T>() };

    private static double Silu(double x) => x * Dense.Sigmoid(x);

    private static double Gelu(double x) => 0.5 * x * (1 + Dense.Erf(x / Math.Sqrt(2)));

    private static double GeluTanh(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}
