using System.Numerics;

namespace NanoLora.Experiments;

// One row per operation of the engine. A row gives parity with a double-precision reference, a gradient check by finite differences, the scalar body
// against the vector body, equal bits for any number of threads, and a line of the benchmarks, which link this folder's OpTable files: no test framework here.

/// <summary>How one input of an operation is filled.</summary>
/// <param name="Make">Element i, from a stream of random numbers.</param>
/// <param name="Trains">Whether a gradient is wanted for it.</param>
/// <param name="Integer">Whether it is an I32 tensor.</param>
public sealed record Input(Func<Philox, int, float> Make, bool Trains = true, bool Integer = false)
{
    public static readonly Input Normal = new(static (random, i) => random.Normal((ulong)i));
    public static readonly Input Wide = new(static (random, i) => 4 * random.Normal((ulong)i));
    public static readonly Input Small = new(static (random, i) => 0.2f * random.Normal((ulong)i));
    public static readonly Input Positive = new(static (random, i) => 0.1f + MathF.Abs(random.Normal((ulong)i)));
    public static readonly Input AwayFromZero = new(static (random, i) => random.Normal((ulong)i) is var x && x >= 0 ? x + 0.5f : x - 0.5f);
    public static readonly Input Frozen = Normal with { Trains = false };

    public static Input Ids(int below) => new((random, i) => random.Below((ulong)i, below), Trains: false, Integer: true);
}

/// <summary>One operation in one setting.</summary>
/// <param name="Method">The method of <see cref="Tensor"/>.</param>
/// <param name="Setting">What distinguishes several rows of one method.</param>
/// <param name="Inputs">How each input is filled.</param>
/// <param name="Shapes">The cases: for each, the shape of every input. The last is large enough to be split among threads.</param>
/// <param name="Run">The operation on the engine.</param>
/// <param name="Reference">The same in double precision, written plainly.</param>
public sealed record OpRow(string Method, string Setting, Input[] Inputs, int[][][] Shapes, Func<Tensor[], Tensor> Run, Func<Dense[], Dense> Reference)
{
    /// <summary>Largest |got - want| / max(1, |want|) of the output.</summary>
    public double Tolerance { get; init; } = 2e-6;

    /// <summary>Largest error of a gradient, against max(1, |want|).</summary>
    public double GradientTolerance { get; init; } = 5e-6;

    /// <summary>False where the output has no gradient: an index.</summary>
    public bool HasGradient { get; init; } = true;

    /// <summary>The scalar and the vector body, of an elementwise operation.</summary>
    public IBodies? Bodies { get; init; }

    public string Name => Setting.Length == 0 ? Method : $"{Method} {Setting}";

    /// <summary>The inputs of a case, as numbers.</summary>
    public float[][] Fill(int[][] shapes, ulong seed = 1)
    {
        var values = new float[Inputs.Length][];
        for (var n = 0; n < values.Length; n++)
        {
            var random = new Philox(seed, (ulong)n);
            values[n] = new float[Dense.Size(shapes[n])];
            for (var i = 0; i < values[n].Length; i++) values[n][i] = Inputs[n].Make(random, i);
        }
        return values;
    }

    /// <summary>A case on a backend, forward and, with a gradient of the output, backward.</summary>
    public OpResult On(Backend backend, int[][] shapes, float[][] values, float[]? dy)
    {
        var parameters = new List<Parameter>();
        var gradients = new float[]?[values.Length];
        try
        {
            using var scope = backend.Scope();
            var inputs = Load(backend.Main, shapes, values, parameters);
            var y = Run(inputs);
            var result = y.ToArray();
            if (dy is not null)
            {
                y.Backward(backend.Main.From(dy, y.Shape));
                for (var n = 0; n < inputs.Length; n++) gradients[n] = parameters.Find(p => ReferenceEquals(p.Value, inputs[n]))?.Gradient?.ToArray();
            }
            return new(result, y.Shape.Sizes.ToArray(), gradients);
        }
        finally
        {
            parameters.ForEach(static parameter => parameter.Dispose());
        }
    }

    /// <summary>The inputs of a case on a workspace; those that train are parameters, which the caller disposes.</summary>
    public Tensor[] Load(Workspace workspace, int[][] shapes, float[][] values, List<Parameter> parameters)
    {
        var inputs = new Tensor[Inputs.Length];
        for (var n = 0; n < inputs.Length; n++)
        {
            var shape = new Shape(shapes[n]);
            if (Inputs[n].Integer)
            {
                inputs[n] = workspace.From(Array.ConvertAll(values[n], static x => (int)x), shape);
                continue;
            }
            var parameter = new Parameter(workspace.From(values[n], shape)) { Trains = Inputs[n].Trains };
            parameters.Add(parameter);
            inputs[n] = parameter;
        }
        return inputs;
    }
}

/// <summary>What an operation gave.</summary>
/// <param name="Values">The output.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Gradients">The gradient of each input that trains; null for others.</param>
public sealed record OpResult(float[] Values, int[] Shape, float[]?[] Gradients);

/// <summary>An elementwise operation's struct, seen without its type: each function as scalar and as vector.</summary>
public interface IBodies
{
    /// <summary>The struct.</summary>
    Type Struct { get; }

    /// <summary>What each function is called, for errors.</summary>
    string[] Names { get; }

    /// <summary>Every function at (a, b), by the scalar body and by the vector body.</summary>
    (float Scalar, float Vector)[] At(float a, float b);
}

public sealed class UnaryBodies<T> : IBodies where T : unmanaged, IUnary
{
    public Type Struct => typeof(T);

    public string[] Names { get; } = ["Forward", "Slope"];

    public (float, float)[] At(float a, float b)
    {
        var at = T.SlopeOfOutput ? T.Forward(a) : a;
        return [(T.Forward(a), T.Forward(new Vector<float>(a))[0]), (T.Slope(at), T.Slope(new Vector<float>(at))[0])];
    }
}

public sealed class BinaryBodies<T> : IBodies where T : unmanaged, IBinary
{
    public Type Struct => typeof(T);

    public string[] Names { get; } = ["Forward", "SlopeA", "SlopeB"];

    public (float, float)[] At(float a, float b)
    {
        Vector<float> u = new(a), v = new(b);
        return [(T.Forward(a, b), T.Forward(u, v)[0]), (T.SlopeA(a, b), T.SlopeA(u, v)[0]), (T.SlopeB(a, b), T.SlopeB(u, v)[0])];
    }
}

/// <summary>The rows, in the order of the files of Ops/.</summary>
public static partial class OpTable
{
    public static IReadOnlyList<OpRow> Rows => s_rows ??= [.. Elementwise(), .. Reductions(), .. Movement(), .. Products(), .. Norms(), .. Transformer()];

    private static IReadOnlyList<OpRow>? s_rows;   // made at first use: the shapes of the other files must be there

    public static OpRow Row(string name) => Rows.First(row => row.Name == name);

    // Cases of one, two and three inputs.
    private static int[][] Of(params int[][] shapes) => shapes;

    private static int[] S(params int[] sizes) => sizes;
}
