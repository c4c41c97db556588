using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NanoLora;

/// <summary>The processor: SIMD kernels over a team of threads, memory from a pool of aligned native blocks.</summary>
public sealed partial class CpuBackend : Backend
{
    private readonly CpuPool _pool;
    private readonly Func<CpuBackend, long, Storage>? _allocate;

    /// <summary>A backend with as many threads as the machine has cores, or as many as asked for; results do not depend on the number.</summary>
    public CpuBackend(int threads = 0)
    {
        _pool = new CpuPool(this);
        Threads = new Threads(threads > 0 ? threads : Environment.ProcessorCount);
    }

    /// <summary>A backend whose blocks come from elsewhere than the pool, such as memory between guard pages.</summary>
    internal CpuBackend(int threads, Func<CpuBackend, long, Storage> allocate) : this(threads) => _allocate = allocate;

    /// <inheritdoc/>
    public override string Name => "cpu";

    /// <summary>
    /// Whether weights stay in the mapping of their file where it holds them as kernels want them. Loading then copies nothing and pages come as they are read;
    /// what is written to a weight stays in this process. Nobody may write into the file, or cut it short, while such a weight lives: files are replaced by
    /// renaming. On Windows, where a mapped file cannot be replaced, weights are copied all the same.
    /// </summary>
    public bool BorrowsWeights { get; init; }

    /// <summary>Who runs the kernels.</summary>
    public Threads Threads { get; }

    /// <inheritdoc/>
    public override int LiveBlocks => _pool.LiveBlocks;

    /// <inheritdoc/>
    public override long ReservedBytes => _pool.ReservedBytes;

    /// <inheritdoc/>
    public override Storage Allocate(long bytes) => _allocate is null ? _pool.Take(bytes) : _allocate(this, bytes);

    /// <summary>A tensor over memory that belongs to somebody else; its scope owns the tensor, or the caller where there is none.</summary>
    /// <param name="workspace">Where it is born: one of this backend.</param>
    /// <param name="address">The first element, aligned as an element is; the memory can be read and written.</param>
    /// <param name="shape">The sizes of the axes.</param>
    /// <param name="dtype">What an element is.</param>
    /// <param name="lender">Is disposed when the last tensor or step of the tape lets go.</param>
    /// <exception cref="ArgumentException">The workspace is another backend's, or the address is not aligned.</exception>
    public Tensor Borrow(Workspace workspace, nint address, Shape shape, DType dtype, IDisposable lender)
    {
        ArgumentNullException.ThrowIfNull(workspace);
        ArgumentNullException.ThrowIfNull(lender);
        if (workspace.Backend != this) throw new ArgumentException($"CpuBackend.Borrow: the workspace of {shape} is another backend's.");
        if (address == 0 || address % dtype.Bytes() != 0) throw new ArgumentException($"CpuBackend.Borrow: {shape} {dtype} at {address:x} is not aligned.");
        return workspace.Track(new Tensor(workspace, new CpuStorage(this, address, shape.LongCount * dtype.Bytes(), lender), shape, dtype));
    }

    /// <inheritdoc/>
    public override void Upload<T>(ReadOnlySpan<T> values, Tensor x) => values.CopyTo(MemoryMarshal.Cast<byte, T>(x.Raw()));

    /// <inheritdoc/>
    public override void Download<T>(Tensor x, Span<T> values) => MemoryMarshal.Cast<byte, T>(x.Raw()).CopyTo(values);

    /// <inheritdoc/>
    public override void Fill(Tensor x, float value) => x.Floats().Fill(value);

    /// <inheritdoc/>
    public override void Copy(Tensor x, Tensor y) => x.Raw().CopyTo(y.Raw());

    /// <inheritdoc/>
    public override bool AllFinite(Tensor x) => TensorPrimitives.IsFiniteAll<float>(x.Floats());

    /// <inheritdoc/>
    public override void Dispose()
    {
        Threads.Dispose();
        _pool.Dispose();
    }
}

/// <summary>What the CPU kernels see of a tensor: spans. They ask for every row, so the way there is inlined, and only what throws is not.</summary>
internal static unsafe class CpuTensor
{
    /// <summary>The elements of a float tensor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Span<float> Floats(this Tensor x)
    {
        if (x.DType != DType.F32) throw WrongType(x, DType.F32);
        return new Span<float>(x.Pointer<float>(), x.Count);
    }

    /// <summary>The elements of an integer tensor.</summary>
    public static Span<int> Ints(this Tensor x)
    {
        if (x.DType != DType.I32) throw WrongType(x, DType.I32);
        return new Span<int>(x.Pointer<int>(), x.Count);
    }

    /// <summary>Row <paramref name="row"/> of a float tensor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Span<float> Row(this Tensor x, int row)
    {
        var cols = x.Cols;
        return x.Floats().Slice(row * cols, cols);
    }

    /// <summary>The bytes of a tensor.</summary>
    public static Span<byte> Raw(this Tensor x) => new(x.Pointer<byte>(), checked(x.Count * x.DType.Bytes()));

    /// <summary>The address of the first element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T* Pointer<T>(this Tensor x) where T : unmanaged
    {
        if (x.Storage is not CpuStorage storage) throw Elsewhere(x);
        return (T*)((byte*)storage.Address + (long)x.Offset * x.DType.Bytes());
    }

    private static ArgumentException WrongType(Tensor x, DType wanted) => new($"A kernel for {wanted} was given {x.DType} {x.Shape}"
        + (wanted == DType.F32 ? "; widen it with Cast(DType.F32)." : "."));

    private static InvalidOperationException Elsewhere(Tensor x) =>
        new($"The cpu backend was given a tensor {x.Shape} of {x.Backend.Name}; copy it over first.");
}
