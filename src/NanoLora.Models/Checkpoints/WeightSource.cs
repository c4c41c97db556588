using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>How a parameter starts where no file gives it.</summary>
internal enum Init
{
    /// <summary>Normal numbers of deviation 1/√in for matrices and 0.02 for tokens and positions, none beyond two deviations.</summary>
    Normal,
    /// <summary>Zeros.</summary>
    Zeros,
    /// <summary>Ones.</summary>
    Ones,
}

/// <summary>Where a model's parameters come from while it is built: a file, or random numbers. One builder serves both.</summary>
internal abstract class WeightSource(Backend backend)
{
    private readonly List<Module> _made = [];

    /// <summary>Where the parameters are put.</summary>
    public Backend Backend { get; } = backend;

    /// <summary>The parameter at one of our paths, of our shape.</summary>
    public abstract Tensor Get(string path, Shape shape, Init init = Init.Normal, bool matrix = false);

    /// <summary>Whether what is built has no use for a head over tokens.</summary>
    public bool Headless { get; init; }

    /// <summary>A linear, with or without bias; a wide one is in F32 whatever the file has: a head is small, and trains.</summary>
    public Linear Linear(string path, int outputs, int inputs, bool bias = true, bool wide = false)
    {
        using var weight = Get($"{path}.weight", new Shape(outputs, inputs), matrix: !wide);
        using var b = bias ? Get($"{path}.bias", new Shape(outputs), Init.Zeros) : null;
        return Made(new Linear(weight, b));
    }

    /// <summary>A layer norm with weight and bias.</summary>
    public LayerNorm Norm(string path, int width, float eps)
    {
        using var weight = Get($"{path}.weight", new Shape(width), Init.Ones);
        using var bias = Get($"{path}.bias", new Shape(width), Init.Zeros);
        return Made(new LayerNorm(weight, bias, eps));
    }

    /// <summary>An RMS norm.</summary>
    public RmsNorm RmsNorm(string path, int width, float eps, bool shifted = false)
    {
        using var weight = Get($"{path}.weight", new Shape(width), shifted ? Init.Zeros : Init.Ones);
        return Made(new RmsNorm(weight, eps, shifted));
    }

    /// <summary>A table of tokens or positions.</summary>
    public Embedding Embedding(string path, int rows, int width)
    {
        using var weight = Get($"{path}.weight", new Shape(rows, width), matrix: true);
        return Made(new Embedding(weight));
    }

    /// <summary>The head over tokens: the embedding once more where it is tied, or nobody will ask; else a matrix of its own.</summary>
    public Linear TokenHead(Embedding tokens, bool tied)
    {
        var shape = tokens.Weight.Shape;
        return tied || Headless ? new Linear(tokens.Weight) : Linear("head", shape[0], shape[1], bias: false);
    }

    /// <summary>Two linears, with biases, and a function between them.</summary>
    public Mlp Mlp(string path, int width, int between, string activation) => Mlp(path, width, between, Activations.Named(activation, path));

    /// <summary>Two linears, with or without biases, and a function between them.</summary>
    public Mlp Mlp(string path, int width, int between, Activation activation, bool bias = true)
    {
        var fc1 = Linear($"{path}.fc1", between, width, bias);
        return new Mlp(fc1, Linear($"{path}.fc2", width, between, bias), activation);
    }

    /// <summary>Lets go of all parts that were made for a model that cannot be completed.</summary>
    public void Abandon()
    {
        foreach (var part in _made) part.Dispose();
    }

    private T Made<T>(T part) where T : Module
    {
        _made.Add(part);
        return part;
    }
}

/// <summary>Parameters from a checkpoint, each asked for by path and checked against the shape that the family's files have.</summary>
/// <param name="backend">Where they are put.</param>
/// <param name="checkpoint">The open file.</param>
/// <param name="names">How it calls the paths.</param>
/// <param name="fileShape">The shape in the file of a parameter by path and our shape.</param>
/// <param name="keepType">Leave matrices in 16 bits where the file has them so.</param>
/// <param name="transposed">Whether the file holds the matrix at a path as [in, out]; null where it never does.</param>
internal sealed class FileWeights(Backend backend, Checkpoint checkpoint, NameMap names, Func<string, Shape, Shape> fileShape, bool keepType,
    Predicate<string>? transposed = null) : WeightSource(backend)
{
    private const string Advice = "Check that config and weights belong together.";
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public override Tensor Get(string path, Shape shape, Init init = Init.Normal, bool matrix = false)
    {
        var entry = Find(path);
        var turned = transposed?.Invoke(path) == true;
        var expected = turned ? new Shape(shape[1], shape[0]) : fileShape(path, shape);
        var given = string.Join(", ", entry.Shape);
        if (!Fits(entry, expected))
            throw new CheckpointException(checkpoint.Path, entry.Name, $"it is [{given}] in the file; the model wants {expected}. {Advice}");
        _used.Add(entry.Name);
        if (turned) return checkpoint.LoadTransposed(entry, Backend.Main, keepType && matrix);
        var x = checkpoint.Load(entry, Backend.Main, keepType && matrix);
        if (x.Shape == shape) return x;
        var y = x.Reshape(shape);
        x.Dispose();
        return y;
    }

    /// <summary>Refuses a file with tensors that nobody asked for, except those whose names begin with one of the given texts.</summary>
    /// <exception cref="CheckpointException">There are such tensors.</exception>
    public void NothingElse(params string[] except) => NothingElse(name => Starts(name, except));

    /// <summary>As <see cref="NothingElse(string[])"/>, except those that are of no concern.</summary>
    /// <exception cref="CheckpointException">There are such tensors.</exception>
    public void NothingElse(Predicate<string> except)
    {
        foreach (var entry in checkpoint.Entries)
        {
            if (_used.Contains(entry.Name) || except(entry.Name)) continue;
            throw new CheckpointException(checkpoint.Path, entry.Name, $"the model has no place for {entry}. {Advice}");
        }
    }

    private TensorEntry Find(string path)
    {
        foreach (var name in names.Theirs(path)) if (checkpoint.TryGet(name, out var entry)) return entry;
        var wanted = names.Theirs(path).FirstOrDefault() ?? path;
        throw new CheckpointException(checkpoint.Path, wanted, $"the tensor is missing among the {checkpoint.Entries.Count} in the file. {Advice}");
    }

    private static bool Fits(TensorEntry entry, Shape shape)
    {
        if (entry.Shape.Length != shape.Rank) return false;
        for (var i = 0; i < shape.Rank; i++) if (entry.Shape[i] != shape[i]) return false;
        return true;
    }

    private static bool Starts(string name, ReadOnlySpan<string> prefixes)
    {
        foreach (var prefix in prefixes) if (name.StartsWith(prefix, StringComparison.Ordinal)) return true;
        return false;
    }
}

/// <summary>The parameters of another model, its matrices in a type of choice.</summary>
internal sealed class ConvertedWeights(Model model, DType matrices) : WeightSource(model.Backend)
{
    private readonly Dictionary<string, Parameter> _parameters = model.Parameters().ToDictionary();

    /// <inheritdoc/>
    public override Tensor Get(string path, Shape shape, Init init = Init.Normal, bool matrix = false)
    {
        var wide = Backend.Main.From(Floats(_parameters[path]), shape);
        if (!matrix || matrices == DType.F32) return wide;
        var y = wide.Cast(matrices);
        wide.Dispose();
        return y;
    }

    private static float[] Floats(Tensor x)
    {
        if (x.DType == DType.F32) return x.ToArray();
        using var wide = x.Cast(DType.F32);
        return wide.ToArray();
    }
}

/// <summary>Parameters drawn from a seed, one random stream each, in the order in which the model is built.</summary>
internal sealed class RandomWeights(Backend backend, ulong seed) : WeightSource(backend)
{
    // Matrices keep the size of what passes through them, 1/√in; at the 0.02 of wide models, one of width 96 had 35 % of its test images right after 600 steps,
    // not 58 %. Tokens and positions: 0.02.
    private static float DeviationOf(string path, Shape shape) =>
        shape.Rank == 2 && path.EndsWith(".weight", StringComparison.Ordinal) ? 1 / MathF.Sqrt(shape[1]) : 0.02f;

    private ulong _stream;

    /// <inheritdoc/>
    public override Tensor Get(string path, Shape shape, Init init = Init.Normal, bool matrix = false)
    {
        var values = new float[shape.Count];
        if (init == Init.Ones) Array.Fill(values, 1f);
        if (init == Init.Normal) Draw(values, new Philox(seed, _stream++), DeviationOf(path, shape));
        return Backend.Main.From(values, shape);
    }

    // A number beyond two deviations is drawn again, from the next range of the stream.
    private static void Draw(Span<float> values, Philox random, float deviation)
    {
        for (var i = 0; i < values.Length; i++)
        {
            var (x, at) = (random.Normal((ulong)i), (ulong)i);
            while (Math.Abs(x) > 2) x = random.Normal(at += (ulong)values.Length);
            values[i] = deviation * x;
        }
    }
}
