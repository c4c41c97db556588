using System.Numerics.Tensors;
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

    /// <summary>Who runs the kernels.</summary>
    public Threads Threads { get; }

    /// <inheritdoc/>
    public override int LiveBlocks => _pool.LiveBlocks;

    /// <inheritdoc/>
    public override long ReservedBytes => _pool.ReservedBytes;

    /// <inheritdoc/>
    public override Storage Allocate(long bytes) => _allocate is null ? _pool.Take(bytes) : _allocate(this, bytes);

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

/// <summary>What the CPU kernels see of a tensor: spans.</summary>
internal static unsafe class CpuTensor
{
    /// <summary>The elements of a float tensor.</summary>
    public static Span<float> Floats(this Tensor x)
    {
        if (x.DType != DType.F32) throw new ArgumentException($"A kernel for F32 was given {x.DType} {x.Shape}; widen it with Cast(DType.F32).");
        return new Span<float>(x.Pointer<float>(), x.Count);
    }

    /// <summary>The elements of an integer tensor.</summary>
    public static Span<int> Ints(this Tensor x)
    {
        if (x.DType != DType.I32) throw new ArgumentException($"A kernel for I32 was given {x.DType} {x.Shape}.");
        return new Span<int>(x.Pointer<int>(), x.Count);
    }

    /// <summary>Row <paramref name="row"/> of a float tensor.</summary>
    public static Span<float> Row(this Tensor x, int row) => x.Floats().Slice(row * x.Cols, x.Cols);

    /// <summary>The bytes of a tensor.</summary>
    public static Span<byte> Raw(this Tensor x) => new(x.Pointer<byte>(), checked(x.Count * x.DType.Bytes()));

    /// <summary>The address of the first element.</summary>
    public static T* Pointer<T>(this Tensor x) where T : unmanaged => x.Storage is CpuStorage storage
        ? (T*)((byte*)storage.Address + (long)x.Offset * x.DType.Bytes())
        : throw new InvalidOperationException($"The cpu backend was given a tensor {x.Shape} of {x.Backend.Name}; copy it over first.");
}
