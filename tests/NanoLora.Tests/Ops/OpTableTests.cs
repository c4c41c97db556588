using System.Reflection;
using System.Runtime.InteropServices;
using NanoLora.Experiments;
using NanoLora.Tests.Cpu;

namespace NanoLora.Tests.Ops;

/// <summary>What each row of <see cref="OpTable"/> promises, on the CPU.</summary>
public class OpTableTests : EngineTest
{
    private const double Step = 1e-6;     // of central differences, in double precision
    private const int Few = 80;           // inputs of at most so many elements are checked element by element, others along random directions

    // Public methods that return a tensor and are no operation: they compute nothing.
    private static readonly HashSet<string> NoOperations = [nameof(Tensor.Keep), nameof(Tensor.Detach), nameof(Tensor.In)];

    // The doors through which elementwise structs come; each struct has a row.
    private static readonly HashSet<string> Doors = [nameof(Tensor.Apply)];

    // Structs without a row of their own: what AMax and the tape are made of.
    private static readonly HashSet<Type> Inner = [typeof(IsEqual)];

    public static TheoryData<string> Names => [.. OpTable.Rows.Select(static row => row.Name)];

    public static TheoryData<string> Elementwise => [.. OpTable.Rows.Where(static row => row.Bodies is not null).Select(static row => row.Name)];

    public static TheoryData<string> Differentiable => [.. OpTable.Rows.Where(static row => row.HasGradient).Select(static row => row.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Output_agrees_with_double_precision(string name)
    {
        var row = OpTable.Row(name);
        foreach (var shapes in row.Shapes)
        {
            var values = row.Fill(shapes);
            var (y, shape, _) = row.On(Backend, shapes, values, null);
            var want = row.Reference(Dense(values, shapes));
            Assert.Equal(want.Shape, shape);
            for (var i = 0; i < y.Length; i++) Near(want.Values[i], y[i], row.Tolerance, $"{name} of {Describe(shapes)}, element {i}");
        }
    }

    [Theory]
    [MemberData(nameof(Differentiable))]
    public void Gradient_agrees_with_finite_differences(string name)
    {
        var row = OpTable.Row(name);
        foreach (var shapes in row.Shapes)
        {
            var values = row.Fill(shapes, seed: 2);
            var dy = Normal(row.Reference(Dense(values, shapes)).Values.Length, seed: 3);
            var gradients = row.On(Backend, shapes, values, dy).Gradients;
            for (var n = 0; n < row.Inputs.Length; n++)
            {
                if (!row.Inputs[n].Trains) continue;
                Assert.NotNull(gradients[n]);
                if (values[n].Length <= Few) EachElement(row, shapes, values, dy, n, gradients[n]!);
                else for (var seed = 10ul; seed < 13; seed++) Along(row, shapes, values, dy, n, gradients[n]!, Normal(values[n].Length, seed));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Same_bits_for_any_number_of_threads(string name)
    {
        var row = OpTable.Row(name);
        var shapes = row.Shapes[^1];
        var values = row.Fill(shapes);
        var dy = row.HasGradient ? Normal(row.Reference(Dense(values, shapes)).Values.Length, seed: 3) : null;
        OpResult? first = null;
        foreach (var threads in (int[])[1, 2, 3, 8])
        {
            using var backend = new CpuBackend(threads);
            var now = row.On(backend, shapes, values, dy);
            Assert.Equal(0, backend.LiveBlocks);
            first ??= now;
            Assert.True(SameBits(first.Values, now.Values), $"{name}: the output depends on the number of threads ({threads}).");
            for (var n = 0; n < values.Length; n++)
            {
                Assert.True(SameBits(first.Gradients[n], now.Gradients[n]), $"{name}: the gradient of input {n} depends on the number of threads ({threads}).");
            }
        }
    }

    // Every block, inputs, outputs, gradients and scratch alike, ends where its memory ends: one element too many ends the process.
    [GuardedTheory]
    [MemberData(nameof(Names))]
    public void Stays_within_its_tensors(string name)
    {
        var row = OpTable.Row(name);
        foreach (var shapes in row.Shapes)
        {
            var values = row.Fill(shapes);
            var dy = row.HasGradient ? Normal(row.Reference(Dense(values, shapes)).Values.Length, seed: 3) : null;
            using var ordinary = new CpuBackend(1);
            using var guarded = new CpuBackend(1, Guarded);
            var (want, got) = (row.On(ordinary, shapes, values, dy), row.On(guarded, shapes, values, dy));
            Assert.True(SameBits(want.Values, got.Values), $"{name} of {Describe(shapes)}: the output depends on where the tensors lie.");
            for (var n = 0; n < values.Length; n++)
                Assert.True(SameBits(want.Gradients[n], got.Gradients[n]), $"{name}: the gradient of input {n} depends on where the tensors lie.");
        }

        static unsafe Storage Guarded(CpuBackend backend, long bytes)
        {
            var memory = new GuardedMemory((int)bytes);
            return new CpuStorage(backend, (nint)memory.Start, bytes, memory);
        }
    }

    [Theory]
    [MemberData(nameof(Elementwise))]
    public void Scalar_body_and_vector_body_are_one_function(string name)
    {
        var row = OpTable.Row(name);
        float[] others = row.Inputs.Length == 1 ? [0] : [-3.5f, -0.25f, 0.5f, 1, 7];
        foreach (var a in Grid())
        {
            foreach (var b in others)
            {
                var pairs = row.Bodies!.At(a, b);
                for (var f = 0; f < pairs.Length; f++)
                {
                    var (scalar, vector) = pairs[f];
                    // Where terms of size 1 (or b) cancel, near 0, an absolute part; in the tails the last digits must agree.
                    var terms = MathF.Abs(a) < 4 ? MathF.Max(1, MathF.Abs(b)) : 0;
                    if (scalar.Equals(vector) || MathF.Abs(scalar - vector) <= 5e-7f * MathF.Abs(scalar) + 1.5e-7f * terms + 1e-38f) continue;
                    Assert.Fail($"{name}.{row.Bodies.Names[f]}({a:G9}, {b:G9}) is {scalar:G9} by the scalar body and {vector:G9} by the vector body.");
                }
            }
        }
    }

    [Fact]
    public void Every_operation_has_a_row()
    {
        var rows = OpTable.Rows.Select(static row => row.Method).ToHashSet();
        var methods = typeof(Tensor).GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
            .Where(static method => method.ReturnType == typeof(Tensor) && !NoOperations.Contains(method.Name) && !Doors.Contains(method.Name))
            .Select(static method => method.Name).Distinct().ToList();
        Assert.NotEmpty(methods);
        Assert.True(methods.All(rows.Contains), $"without a row in OpTable: {string.Join(", ", methods.Where(method => !rows.Contains(method)))}");
        Assert.All(rows, row => Assert.Contains(row, methods));
    }

    [Fact]
    public void Every_elementwise_struct_has_a_row()
    {
        var rows = OpTable.Rows.Where(static row => row.Bodies is not null).Select(static row => Open(row.Bodies!.Struct)).ToHashSet();
        var structs = typeof(Tensor).Assembly.GetTypes()
            .Where(static type => type.IsValueType && (typeof(IUnary).IsAssignableFrom(type) || typeof(IBinary).IsAssignableFrom(type))
                && !Inner.Contains(type)).ToList();
        Assert.NotEmpty(structs);
        Assert.All(structs, type => Assert.Contains(Open(type), rows));
    }

    [Fact]
    public void Names_are_unique() => Assert.Equal(OpTable.Rows.Count, OpTable.Rows.Select(static row => row.Name).Distinct().Count());

    private static void EachElement(OpRow row, int[][] shapes, float[][] values, float[] dy, int n, float[] gradient)
    {
        for (var i = 0; i < gradient.Length; i++)
        {
            var direction = new float[gradient.Length];
            direction[i] = 1;
            var want = Difference(row, shapes, values, dy, n, direction);
            Near(want, gradient[i], row.GradientTolerance, $"{row.Name} of {Describe(shapes)}, gradient of input {n}, element {i}");
        }
    }

    // ⟨gradient, u⟩ of a random direction: rounding of single elements adds up like a random walk, so the scale is the gradient's length.
    private static void Along(OpRow row, int[][] shapes, float[][] values, float[] dy, int n, float[] gradient, float[] direction)
    {
        double got = 0, square = 0;
        for (var i = 0; i < gradient.Length; i++)
        {
            got += (double)gradient[i] * direction[i];
            square += (double)gradient[i] * gradient[i];
        }
        var want = Difference(row, shapes, values, dy, n, direction);
        var error = Math.Abs(got - want) / Math.Max(1, Math.Sqrt(square));
        Assert.True(error <= row.GradientTolerance,
            $"{row.Name} of {Describe(shapes)}, gradient of input {n} along a direction: {got:G9}, by differences {want:G9}, "
                + $"error {error:E2} of the gradient's length.");
    }

    // (L(x + h u) - L(x - h u)) / 2h with L = Σ y ∘ dy, by the reference.
    private static double Difference(OpRow row, int[][] shapes, float[][] values, float[] dy, int n, float[] direction)
    {
        double Loss(double h)
        {
            var inputs = Dense(values, shapes);
            for (var i = 0; i < direction.Length; i++) inputs[n].Values[i] += h * direction[i];
            var y = row.Reference(inputs).Values;
            var sum = 0.0;
            for (var i = 0; i < y.Length; i++) sum += y[i] * dy[i];
            return sum;
        }
        return (Loss(Step) - Loss(-Step)) / (2 * Step);
    }

    private static Dense[] Dense(float[][] values, int[][] shapes) =>
        [.. values.Select((x, n) => new Dense(Array.ConvertAll(x, static v => (double)v), shapes[n]))];

    private static void Near(double want, double got, double tolerance, string what)
    {
        var error = Math.Abs(got - want) / Math.Max(1, Math.Abs(want));
        Assert.True(error <= tolerance, $"{what}: got {got:G9}, want {want:G9}, error {error:E2}, tolerance {tolerance:E1}.");
    }

    private static bool SameBits(float[]? a, float[]? b) =>
        a is null ? b is null : b is not null && MemoryMarshal.AsBytes<float>(a).SequenceEqual(MemoryMarshal.AsBytes<float>(b));

    // Fine steps where functions bend, and the far ends.
    private static IEnumerable<float> Grid()
    {
        for (var i = -1200; i <= 1200; i++) yield return i / 100f + 1e-3f;
        foreach (var x in (float[])[0, 1e-30f, 1e-6f, 0.25f, 1, 20, 60, 85, 88, 103, 1e4f, 1e18f, float.PositiveInfinity])
        {
            yield return x;
            yield return -x;
        }
        yield return float.NaN;
    }

    private static Type Open(Type type) => type.IsGenericType ? type.GetGenericTypeDefinition() : type;

    private static string Describe(int[][] shapes) => string.Join(", ", shapes.Select(static shape => $"[{string.Join(", ", shape)}]"));
}
