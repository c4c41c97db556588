using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace NanoLora;

/// <summary>
/// A GPU, or another device of CUDA or OpenCL: kernels compiled by ILGPU at their first use, memory from a pool, all work in one stream. Nothing waits for the
/// device but what reads values back.
/// </summary>
public sealed partial class GpuBackend : Backend
{
    private readonly Lock _gate = new();
    private readonly Context _context;
    private readonly Accelerator _accelerator;
    private readonly GpuPool _pool;
    private readonly Staging _staging;
    private readonly Launcher _launch;

    /// <summary>The best device of this machine: CUDA, then a GPU by OpenCL, then a processor by OpenCL.</summary>
    /// <exception cref="GpuException">There is none.</exception>
    public GpuBackend() : this(GpuDevice.Find("gpu")) { }

    /// <summary>A device by name, as <see cref="GpuDevice.Find"/> takes it.</summary>
    /// <exception cref="GpuException">There is no such device.</exception>
    public GpuBackend(string name) : this(GpuDevice.Find(name)) { }

    /// <summary>A given device.</summary>
    /// <exception cref="GpuException">It is not there any more, or its driver fails.</exception>
    public GpuBackend(GpuDevice device)
    {
        Device = device;
        _context = GpuContext.Create(device.Kind == GpuKind.Interpreter);
        try
        {
            var found = GpuDevice.Of(_context).FirstOrDefault(d => d.Device.Id == device.Id);
            _accelerator = (found.Of ?? throw new GpuException($"{device.Id} ({device.Name}) is not there any more.")).CreateAccelerator(_context);
        }
        catch (Exception error)
        {
            _context.Dispose();
            throw error as GpuException ?? new GpuException($"{device.Id} ({device.Name}) could not be opened: {error.Message}", error);
        }
        _pool = new GpuPool(this, _accelerator, _gate);
        _launch = new Launcher(device, _accelerator, _gate);
        _staging = new Staging(_accelerator, _launch);
    }

    /// <summary>Which device it is.</summary>
    public GpuDevice Device { get; }

    /// <inheritdoc/>
    public override string Name => Device.Id;

    /// <inheritdoc/>
    public override string Description => $"{Device.Id}: {Device.Name} ({Device.Details}), groups of {_launch.GroupSize} threads";

    /// <inheritdoc/>
    public override int LiveBlocks => _pool.LiveBlocks;

    /// <inheritdoc/>
    public override long ReservedBytes => _pool.ReservedBytes;

    /// <summary>Kernels that were asked for so far.</summary>
    internal long Launches => _launch.Launches;

    /// <summary>Bytes of all operands and results of kernels and copies so far, each counted once a kernel: what the device's memory moves at least.</summary>
    internal long OperandBytes { get; private set; }

    /// <inheritdoc/>
    public override Storage Allocate(long bytes) => _pool.Take(bytes);

    /// <inheritdoc/>
    public override void Synchronize()
    {
        lock (_gate)
        {
            _accelerator.Bind();
            _staging.Wait();
        }
    }

    /// <inheritdoc/>
    public override void Upload<T>(ReadOnlySpan<T> values, Tensor x)
    {
        if (values.IsEmpty) return;
        lock (_gate)
        {
            _accelerator.Bind();
            _staging.ToDevice(MemoryMarshal.AsBytes(values), Bytes(x, writes: true));
            if (x.DType == DType.I32 && x.Offset == 0) ((GpuStorage)x.Storage).SetMirror(MemoryMarshal.Cast<T, int>(values));
        }
    }

    /// <inheritdoc/>
    public override void Download<T>(Tensor x, Span<T> values)
    {
        if (values.IsEmpty) return;
        lock (_gate)
        {
            _accelerator.Bind();
            _staging.ToHost(Bytes(x, writes: false), MemoryMarshal.AsBytes(values));
        }
    }

    /// <inheritdoc/>
    public override void Copy(Tensor x, Tensor y)
    {
        if (x.Count == 0) return;
        lock (_gate)
        {
            _accelerator.Bind();
            Bytes(y, writes: true).CopyFrom(_accelerator.DefaultStream, Bytes(x, writes: false));
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        lock (_gate)
        {
            _accelerator.Bind();
            _accelerator.DefaultStream.Synchronize();
            _pool.Dispose();
            _staging.Dispose();
            _launch.Dispose();
            _accelerator.Dispose();
            _context.Dispose();
        }
    }

    // What kernels see of a tensor. An output loses its mirror on the host.

    private ArrayView<float> In(Tensor x) => View<float>(Floats(x), writes: false);

    private ArrayView<float> Out(Tensor y) => View<float>(Floats(y), writes: true);

    private ArrayView<int> InInts(Tensor x) => View<int>(Ints(x), writes: false);

    private ArrayView<int> OutInts(Tensor y) => View<int>(Ints(y), writes: true);

    // A stand-in where there is nothing: some drivers take no empty buffer.
    private ArrayView<float> In(Tensor? x, Tensor standIn) => In(x ?? standIn);

    private ArrayView<byte> Bytes(Tensor x, bool writes) =>
        StorageOf(x, writes).Buffer.AsRawArrayView((long)x.Offset * x.DType.Bytes(), (long)x.Count * x.DType.Bytes());

    private ArrayView<T> View<T>(Tensor x, bool writes) where T : unmanaged => Bytes(x, writes).Cast<T>();

    private GpuStorage StorageOf(Tensor x, bool writes)
    {
        if (x.Storage is not GpuStorage storage || storage.Backend != this)
            throw new InvalidOperationException($"{Name} was given a tensor {x.Shape} of {x.Backend.Name}; copy it over first.");
        if (writes) storage.ClearMirror();
        OperandBytes += (long)x.Count * x.DType.Bytes();
        return storage;
    }

    private static Tensor Floats(Tensor x) =>
        x.DType == DType.F32 ? x : throw new ArgumentException($"A kernel for F32 was given {x.DType} {x.Shape}; widen it with Cast(DType.F32).");

    private static Tensor Ints(Tensor x) => x.DType == DType.I32 ? x : throw new ArgumentException($"A kernel for I32 was given {x.DType} {x.Shape}.");
}
