using System.Runtime.CompilerServices;
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
    private long _operandBytes;

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
            _launch = new Launcher(device, _accelerator, _gate);
            _pool = new GpuPool(this, _accelerator, _launch, _gate);
            _staging = new Staging(_accelerator, _launch);
        }
        catch (Exception error)
        {
            _accelerator?.Dispose();
            _context.Dispose();
            throw error as GpuException ?? new GpuException($"{device.Id} ({device.Name}) could not be opened: {error.Message}", error);
        }
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

    /// <summary>How often the host has waited for the device so far.</summary>
    internal long Waits => _staging.Waits;

    /// <summary>For tests of what becomes of a kernel.</summary>
    internal Launcher Launcher => _launch;

    /// <summary>Bytes of all operands and results of kernels and copies so far, each counted once a kernel: what the device's memory moves at least.</summary>
    internal long OperandBytes => Interlocked.Read(ref _operandBytes);

    /// <inheritdoc/>
    public override Storage Allocate(long bytes) => _pool.Take(bytes);

    /// <inheritdoc/>
    /// <exception cref="GpuException">The device has failed.</exception>
    public override void Synchronize()
    {
        lock (_gate)
        {
            _launch.Enter();
            _staging.Wait();
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">More or fewer bytes than the tensor has.</exception>
    /// <exception cref="GpuException">The device has failed.</exception>
    public override void Upload<T>(ReadOnlySpan<T> values, Tensor x)
    {
        CheckSize<T>(nameof(Upload), values.Length, x);
        if (values.IsEmpty) return;
        lock (_gate)
        {
            _launch.Enter();
            var to = Bytes(x, writes: true);
            for (var done = 0; done < values.Length; done += Piece)
            {
                var bytes = MemoryMarshal.AsBytes(values.Slice(done, Math.Min(Piece, values.Length - done)));
                _staging.ToDevice(bytes, to.SubView((long)done * Unsafe.SizeOf<T>(), bytes.Length));
            }
            if (x.Offset == 0 && GpuStorage.Mirrors(x)) ((GpuStorage)x.Storage).SetMirror(MemoryMarshal.Cast<T, int>(values));
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">More or fewer bytes than the tensor has.</exception>
    /// <exception cref="GpuException">The device has failed.</exception>
    public override void Download<T>(Tensor x, Span<T> values)
    {
        CheckSize<T>(nameof(Download), values.Length, x);
        if (values.IsEmpty) return;
        lock (_gate)
        {
            _launch.Enter();
            var from = Bytes(x, writes: false);
            for (var done = 0; done < values.Length; done += Piece)
            {
                var bytes = MemoryMarshal.AsBytes(values.Slice(done, Math.Min(Piece, values.Length - done)));
                _staging.ToHost(from.SubView((long)done * Unsafe.SizeOf<T>(), bytes.Length), bytes);
            }
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The tensors differ in number or type of elements.</exception>
    /// <exception cref="GpuException">The device has failed.</exception>
    public override void Copy(Tensor x, Tensor y)
    {
        if (x.Count != y.Count || x.DType != y.DType)
            throw new ArgumentException($"Copy: {x.DType} {x.Shape} to {y.DType} {y.Shape}; number and type of elements must agree.");
        if (x.Count == 0) return;
        lock (_gate)
        {
            _launch.Enter();
            try { Bytes(y, writes: true).CopyFrom(_accelerator.DefaultStream, Bytes(x, writes: false)); }
            catch (AcceleratorException error) { throw _launch.Failed(error); }
        }
    }

    // Elements at once: the bytes of a tensor may be more than an int counts.
    private const int Piece = 1 << 24;

    // A copy goes by the length of what the host has: what does not fit would reach into the tensors beside.
    private static void CheckSize<T>(string op, int count, Tensor x)
    {
        if ((long)count * Unsafe.SizeOf<T>() is var bytes && bytes != (long)x.Count * x.DType.Bytes())
            throw new ArgumentException($"{op}: {bytes} bytes for {x.DType} {x.Shape}, which has {(long)x.Count * x.DType.Bytes()}.");
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        lock (_gate)
        {
            if (_launch.IsClosed) return;
            try
            {
                _accelerator.Bind();
                _accelerator.DefaultStream.Synchronize();
            }
            catch (AcceleratorException)
            {
                // It has failed: nothing runs there any more, and what is left is to let go.
            }
            _launch.Dispose();
            try
            {
                _pool.Dispose();
                _staging.Dispose();
                _accelerator.Dispose();
            }
            catch (AcceleratorException)
            {
                // Its driver takes nothing back any more.
            }
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
        Interlocked.Add(ref _operandBytes, (long)x.Count * x.DType.Bytes());
        return storage;
    }

    private static Tensor Floats(Tensor x) =>
        x.DType == DType.F32 ? x : throw new ArgumentException($"A kernel for F32 was given {x.DType} {x.Shape}; widen it with Cast(DType.F32).");

    private static Tensor Ints(Tensor x) => x.DType == DType.I32 ? x : throw new ArgumentException($"A kernel for I32 was given {x.DType} {x.Shape}.");
}
