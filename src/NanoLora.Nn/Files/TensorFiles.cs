using System.Buffers;
using System.Runtime.InteropServices;

namespace NanoLora.Nn;

/// <summary>The bridge between weight files and tensors.</summary>
public static class TensorFiles
{
    private const int PartOf = 1 << 18;   // elements that are read at a time

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
        if (Resting(entry, keepType) is { } dtype)
        {
            var size = dtype.Bytes();
            return InParts(workspace.New(shape, dtype), (start, part) =>
            {
                using var window = checkpoint.Window(entry, (long)start * size, (long)part.Count * size);
                part.Backend.Upload(window.First<byte>(part.Count * size), part);
            });
        }
        checkpoint.CopyTo(entry, 0, []);                                               // refuses a type without F32 form
        return InParts(workspace.New(shape), (start, part) =>
        {
            var wide = ArrayPool<float>.Shared.Rent(part.Count);
            checkpoint.CopyTo(entry, start, wide.AsSpan(0, part.Count));
            part.Backend.Upload<float>(wide.AsSpan(0, part.Count), part);
            ArrayPool<float>.Shared.Return(wide);
        });
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
        var resting = Resting(entry, keepType);
        var x = workspace.New(new Shape(shape[1], shape[0]), resting ?? DType.F32);
        if (resting is null)
        {
            var wide = new float[shape.Count];
            checkpoint.CopyTo(entry, wide);
            Turn<float>(wide, x);
            return x;
        }
        using var window = checkpoint.Window(entry, 0, entry.Length);
        if (resting == DType.F32) Turn(window.First<float>(shape.Count), x);
        else Turn(window.First<ushort>(shape.Count), x);
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
        var turned = new T[all.Length];
        Turn(all, values.Shape[0], values.Shape[1], 0, turned);
        stream.Write(MemoryMarshal.AsBytes(turned.AsSpan()));
    }

    // y = xᵀ for y [cols, rows], a few of its rows at a time.
    private static void Turn<T>(ReadOnlySpan<T> x, Tensor y) where T : unmanaged
    {
        if (x.Length == 0) return;
        var (cols, rows) = (y.Shape[0], y.Shape[1]);
        var step = Math.Min(cols, Math.Max(1, PartOf / rows));
        var part = ArrayPool<T>.Shared.Rent(step * rows);
        using var scope = y.Workspace.Scope(grad: false);
        for (var col = 0; col < cols; col += step)
        {
            var to = y.Slice(0, col, Math.Min(cols, col + step));
            Turn(x, rows, cols, col, part.AsSpan(0, to.Count));
            y.Backend.Upload<T>(part.AsSpan(0, to.Count), to);
        }
        ArrayPool<T>.Shared.Return(part);
    }

    // Columns of x [rows, cols] from one on, as rows of y, in tiles that stay in the first cache.
    private static void Turn<T>(ReadOnlySpan<T> x, int rows, int cols, int first, Span<T> y)
    {
        const int side = 32;
        var end = first + y.Length / rows;
        for (var top = 0; top < rows; top += side)
        {
            for (var left = first; left < end; left += side)
            {
                for (var row = top; row < Math.Min(rows, top + side); row++)
                    for (var col = left; col < Math.Min(end, left + side); col++) y[(col - first) * rows + row] = x[row * cols + col];
            }
        }
    }

    // Fills a tensor a part at a time, so that neither the file nor an array of all elements stands in memory beside it.
    private static Tensor InParts(Tensor x, Action<int, Tensor> fill)
    {
        try
        {
            using var scope = x.Workspace.Scope(grad: false);
            var flat = x.Reshape(x.Count);
            for (var (start, end) = (0, 0); start < x.Count; start = end)
            {
                end = start + Math.Min(PartOf, x.Count - start);
                fill(start, flat.Slice(0, start, end));
            }
            return x;
        }
        catch
        {
            x.Dispose();
            throw;
        }
    }

    // The type in which a tensor stays as the file has it, or null where it is widened.
    private static DType? Resting(TensorEntry entry, bool keepType) => entry.DType switch
    {
        FileDType.F32 => DType.F32,
        FileDType.BF16 when keepType => DType.BF16,
        FileDType.F16 when keepType => DType.F16,
        _ => null,
    };

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
        if (Resting(entry, keepType) is not { } dtype) return null;
        var address = checkpoint.PrivateAddress(entry);
        return address == 0 || address % dtype.Bytes() != 0 ? null : cpu.Borrow(workspace, address, shape, dtype, checkpoint.Hold());
    }

    private static void WriteTo<T>(Stream stream, Tensor values) where T : unmanaged
    {
        var all = new T[values.Count];
        values.Backend.Download(values, all.AsSpan());
        stream.Write(MemoryMarshal.AsBytes(all.AsSpan()));
    }
}
