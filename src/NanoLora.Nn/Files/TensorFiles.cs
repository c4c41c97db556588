using System.Runtime.InteropServices;

namespace NanoLora.Nn;

/// <summary>The bridge between weight files and tensors.</summary>
public static class TensorFiles
{
    /// <summary>
    /// Reads a tensor into a workspace: floats as F32, 16-bit floats as they rest in the file if <paramref name="keepType"/> is set; integers must be
    /// exact in F32. A backend that <see cref="CpuBackend.BorrowsWeights"/> takes those of a safetensors file where they are, if they rest as they are wanted.
    /// </summary>
    /// <param name="checkpoint">The open file.</param>
    /// <param name="entry">One of its tensors.</param>
    /// <param name="workspace">Where the tensor is born; its current scope owns it, or the caller.</param>
    /// <param name="keepType">Keep BF16 and F16, for matrices that stay frozen; norms and biases are to be widened.</param>
    /// <exception cref="CheckpointException">More than six axes, more than 2^31 - 1 elements, or a type without F32 form.</exception>
    public static Tensor Load(this Checkpoint checkpoint, TensorEntry entry, Workspace workspace, bool keepType = false)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(entry);
        ArgumentNullException.ThrowIfNull(workspace);
        var shape = ShapeOf(checkpoint, entry);
        if (Borrowed(checkpoint, entry, shape, workspace, keepType) is { } there) return there;
        if (keepType && entry.DType == FileDType.BF16) return As<ushort>(checkpoint, entry, workspace.New(shape, DType.BF16));
        if (keepType && entry.DType == FileDType.F16) return As<ushort>(checkpoint, entry, workspace.New(shape, DType.F16));
        var x = workspace.New(shape);
        if (entry.DType == FileDType.F32) return As<float>(checkpoint, entry, x);
        var values = new float[shape.Count];
        checkpoint.CopyTo(entry, values);
        x.Backend.Upload<float>(values, x);
        return x;
    }

    /// <summary>As <see cref="Load(Checkpoint, TensorEntry, Workspace, bool)"/>, for the tensor of a name.</summary>
    /// <exception cref="CheckpointException">There is no such tensor, or it cannot be read.</exception>
    public static Tensor Load(this Checkpoint checkpoint, string name, Workspace workspace, bool keepType = false)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return checkpoint.Load(checkpoint[name], workspace, keepType);
    }

    /// <summary>A tensor to be written to a file, read when its turn comes: F32, BF16 or F16 as it rests.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="values">The tensor.</param>
    /// <param name="shape">Its shape in the file, of as many elements.</param>
    /// <exception cref="ArgumentException">The file's shape has another number of elements, or the type is none of these.</exception>
    public static TensorSource Source(string name, Tensor values, Shape shape)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (shape.LongCount != values.Count)
            throw new ArgumentException($"TensorFiles.Source: {name} is {values.Shape}, which does not fit the file's {shape}.");
        var axes = Array.ConvertAll(shape.Sizes.ToArray(), static size => (long)size);
        return values.DType switch
        {
            DType.F32 => new TensorSource(name, FileDType.F32, axes, stream => WriteTo<float>(stream, values)),
            DType.BF16 => new TensorSource(name, FileDType.BF16, axes, stream => WriteTo<ushort>(stream, values)),
            DType.F16 => new TensorSource(name, FileDType.F16, axes, stream => WriteTo<ushort>(stream, values)),
            _ => throw new ArgumentException($"TensorFiles.Source: {name} holds {values.DType}; only F32, BF16 and F16 are written."),
        };
    }

    /// <summary>Writes a model's own parameters to a safetensors file, under the names and shapes of its family; an adapter's are not among them.</summary>
    /// <param name="model">The model; its linears must have no adapter.</param>
    /// <param name="path">The file, replaced only when all is written.</param>
    /// <param name="fileShape">The shape in the file of a parameter by path and shape, or null where all are alike.</param>
    /// <exception cref="InvalidOperationException">An adapter is attached.</exception>
    /// <exception cref="CheckpointException">The file cannot be written.</exception>
    public static void SaveWeights(this Model model, string path, Func<string, Shape, Shape>? fileShape = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        AtomicFile.Write(path, WeightsOf(model, path, fileShape));
    }

    /// <summary>What <see cref="SaveWeights"/> writes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">The file, for messages.</param>
    /// <param name="fileShape">The shape in the file of a parameter by path and shape, or null where all are alike.</param>
    /// <param name="transposed">Whether the file holds the matrix at a path as [in, out], or null where it never does.</param>
    internal static Action<Stream> WeightsOf(Model model, string path, Func<string, Shape, Shape>? fileShape, Predicate<string>? transposed = null)
    {
        foreach (var (at, linear) in model.Linears())
        {
            if (linear.Adapter is not null)
                throw new InvalidOperationException($"{path}: the linear at {at} has an adapter, which this file does not hold; merge it or take it off.");
        }
        var sources = new List<TensorSource>();
        var seen = new HashSet<Parameter>();                                           // a tied head is written once, as the embedding
        foreach (var (at, parameter) in model.Parameters())
        {
            if (!seen.Add(parameter)) continue;
            var name = model.Names.Theirs(at).FirstOrDefault()
                ?? throw new InvalidOperationException($"{path}: the family of {model.Source} has no name for {at}.");
            sources.Add(transposed?.Invoke(at) == true ? Transposed(name, parameter.Value)
                : Source(name, parameter.Value, fileShape?.Invoke(at, parameter.Shape) ?? parameter.Shape));
        }
        return SafetensorsWriter.Content(path, sources, new Dictionary<string, string> { ["format"] = "pt" });
    }

    /// <summary>
    /// Reads a matrix that the file holds as [in, out], as [out, in]: F32, or 16-bit as it rests in the file if <paramref name="keepType"/> is set.
    /// </summary>
    internal static Tensor LoadTransposed(this Checkpoint checkpoint, TensorEntry entry, Workspace workspace, bool keepType)
    {
        var shape = ShapeOf(checkpoint, entry);
        var turned = new Shape(shape[1], shape[0]);
        if (keepType && entry.DType is FileDType.BF16 or FileDType.F16)
        {
            var halves = Turn(MemoryMarshal.Cast<byte, ushort>(checkpoint.Bytes(entry)), shape[0], shape[1]);
            var y = workspace.New(turned, entry.DType == FileDType.BF16 ? DType.BF16 : DType.F16);
            y.Backend.Upload<ushort>(halves, y);
            return y;
        }
        ReadOnlySpan<float> values;
        if (entry.DType == FileDType.F32) values = MemoryMarshal.Cast<byte, float>(checkpoint.Bytes(entry));
        else
        {
            var wide = new float[shape.Count];
            checkpoint.CopyTo(entry, wide);
            values = wide;
        }
        var x = workspace.New(turned);
        x.Backend.Upload<float>(Turn(values, shape[0], shape[1]), x);
        return x;
    }

    private static TensorSource Transposed(string name, Tensor values)
    {
        long[] axes = [values.Shape[1], values.Shape[0]];
        return values.DType == DType.F32 ? new TensorSource(name, FileDType.F32, axes, stream => WriteTurned<float>(stream, values))
            : new TensorSource(name, values.DType == DType.BF16 ? FileDType.BF16 : FileDType.F16, axes, stream => WriteTurned<ushort>(stream, values));
    }

    private static void WriteTurned<T>(Stream stream, Tensor values) where T : unmanaged
    {
        var all = new T[values.Count];
        values.Backend.Download(values, all.AsSpan());
        stream.Write(MemoryMarshal.AsBytes(Turn<T>(all, values.Shape[0], values.Shape[1]).AsSpan()));
    }

    // The transpose of [rows, cols], in tiles that stay in the first cache: each byte of the file is read once.
    private static T[] Turn<T>(ReadOnlySpan<T> x, int rows, int cols)
    {
        const int side = 32;
        var y = new T[x.Length];
        for (var top = 0; top < rows; top += side)
        {
            for (var left = 0; left < cols; left += side)
            {
                for (var row = top; row < Math.Min(rows, top + side); row++)
                    for (var col = left; col < Math.Min(cols, left + side); col++) y[col * rows + row] = x[row * cols + col];
            }
        }
        return y;
    }

    private static Shape ShapeOf(Checkpoint checkpoint, TensorEntry entry)
    {
        if (entry.Shape.Length > Shape.MaxRank)
            throw new CheckpointException(checkpoint.Path, entry.Name, $"{entry} has {entry.Shape.Length} axes; at most {Shape.MaxRank} are supported.");
        if (entry.Count > int.MaxValue)
            throw new CheckpointException(checkpoint.Path, entry.Name, $"{entry} has {entry.Count} elements; at most 2^31 - 1 are supported.");
        Span<int> sizes = stackalloc int[entry.Shape.Length];
        for (var i = 0; i < sizes.Length; i++)
        {
            if (entry.Shape[i] > int.MaxValue)
                throw new CheckpointException(checkpoint.Path, entry.Name, $"{entry} has an axis of {entry.Shape[i]}; at most 2^31 - 1 are supported.");
            sizes[i] = (int)entry.Shape[i];
        }
        return new Shape(sizes);
    }

    private static Tensor? Borrowed(Checkpoint checkpoint, TensorEntry entry, Shape shape, Workspace workspace, bool keepType)
    {
        if (workspace.Backend is not CpuBackend { BorrowsWeights: true } cpu || OperatingSystem.IsWindows() || entry.Length == 0) return null;
        DType? resting = entry.DType switch
        {
            FileDType.F32 => DType.F32,
            FileDType.BF16 when keepType => DType.BF16,
            FileDType.F16 when keepType => DType.F16,
            _ => null,
        };
        if (resting is not { } dtype) return null;
        var address = checkpoint.PrivateAddress(entry);
        return address == 0 || address % dtype.Bytes() != 0 ? null : cpu.Borrow(workspace, address, shape, dtype, checkpoint.Hold());
    }

    private static Tensor As<T>(Checkpoint checkpoint, TensorEntry entry, Tensor x) where T : unmanaged
    {
        x.Backend.Upload(MemoryMarshal.Cast<byte, T>(checkpoint.Bytes(entry)), x);
        return x;
    }

    private static void WriteTo<T>(Stream stream, Tensor values) where T : unmanaged
    {
        var all = new T[values.Count];
        values.Backend.Download(values, all.AsSpan());
        stream.Write(MemoryMarshal.AsBytes(all.AsSpan()));
    }
}
