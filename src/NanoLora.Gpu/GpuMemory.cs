using System.Numerics;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace NanoLora;

/// <summary>A block of a device's memory.</summary>
internal sealed class GpuStorage(GpuPool pool, Backend backend, MemoryBuffer buffer, long bytes, int sizeClass) : Storage(backend, bytes)
{
    internal MemoryBuffer Buffer { get; } = buffer;

    internal int SizeClass { get; } = sizeClass;

    // Class weights have one number a class.
    private const int MirroredFloats = 1 << 16;

    /// <summary>Whether what is uploaded to a tensor is also kept on the host: integers, and floats where they are few.</summary>
    internal static bool Mirrors(Tensor x) => x.DType == DType.I32 || (x.DType == DType.F32 && x.Count <= MirroredFloats);

    /// <summary>
    /// What was last uploaded to the start of this block, as integers, as long as no kernel has written to it: class numbers, ids and class weights are read
    /// without waiting for the device.
    /// </summary>
    internal ReadOnlySpan<int> Mirror => _mirror.AsSpan(0, _mirrored);

    private int[] _mirror = [];
    private int _mirrored;

    internal void SetMirror(ReadOnlySpan<int> values)
    {
        if (_mirror.Length < values.Length) _mirror = new int[BitOperations.RoundUpToPowerOf2((uint)values.Length)];
        values.CopyTo(_mirror);
        _mirrored = values.Length;
    }

    internal void ClearMirror() => _mirrored = 0;

    protected override void Free() => pool.Return(this);
}

/// <summary>
/// Blocks of a device's memory, in the size classes of the CPU's pool. All work is in one stream, in order, so a block that is let go may be handed out at
/// once: whoever gets it runs after whoever had it.
/// </summary>
internal sealed class GpuPool(GpuBackend backend, Accelerator accelerator, Launcher launcher, Lock gate) : IDisposable
{
    private readonly Stack<GpuStorage>[] _free = [.. Enumerable.Range(0, SizeClasses.Count).Select(static _ => new Stack<GpuStorage>())];
    private bool _closed;

    internal int LiveBlocks { get; private set; }

    internal long ReservedBytes { get; private set; }

    internal GpuStorage Take(long bytes)
    {
        var (sizeClass, size) = SizeClasses.Of(bytes);
        lock (gate)
        {
            launcher.Enter();
            if (sizeClass >= _free.Length) throw OutOfMemory(size, null);
            if (_free[sizeClass].TryPop(out var block))
            {
                LiveBlocks++;
                return block;
            }
            var buffer = New(size);
            LiveBlocks++;
            ReservedBytes += size;
            return new GpuStorage(this, backend, buffer, size, sizeClass);
        }
    }

    private MemoryBuffer New(long size)
    {
        try
        {
            try { return accelerator.AllocateRaw(size, 1); }
            catch (AcceleratorException error) when (IsLackOfMemory(error) && ReservedBytes > 0)
            {
                accelerator.Synchronize();
                Trim();                                                                // blocks of other sizes that wait for nobody
            }
            return accelerator.AllocateRaw(size, 1);
        }
        catch (AcceleratorException error) when (IsLackOfMemory(error))
        {
            throw OutOfMemory(size, error);
        }
        catch (AcceleratorException error)
        {
            throw launcher.Failed(error);                                              // of a kernel before, perhaps: it shows at the next call
        }
    }

    private static bool IsLackOfMemory(AcceleratorException error) => error switch
    {
        CudaException cuda => IsLackOfMemory(cuda.Error),
        CLException cl => IsLackOfMemory(cl.Error),
        _ => true,
    };

    /// <summary>Whether CUDA says that there is no memory left, and not that the device has failed.</summary>
    internal static bool IsLackOfMemory(string error) => error == nameof(CudaError.CUDA_ERROR_OUT_OF_MEMORY);

    /// <summary>The same of OpenCL.</summary>
    internal static bool IsLackOfMemory(CLError error) => error is CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE or CLError.CL_OUT_OF_RESOURCES
        or CLError.CL_OUT_OF_HOST_MEMORY or CLError.CL_INVALID_BUFFER_SIZE;

    private DeviceMemoryException OutOfMemory(long size, Exception? error)
    {
        var held = $"{ReservedBytes >> 20:N0} MiB are held by tensors. Use a smaller batch or close scopes.";
        return new($"{backend.Name}: {size:N0} bytes could not be had{(error is null ? "" : $" ({error.Message})")}; {Free()}, {held}", error);
    }

    private string Free()
    {
        try
        {
            if (accelerator is CudaAccelerator cuda) return $"{cuda.GetFreeMemory() >> 20:N0} MiB of {accelerator.MemorySize >> 20:N0} MiB are free";
        }
        catch (AcceleratorException)
        {
            // Then what it has in all must do.
        }
        return $"the device has {accelerator.MemorySize >> 20:N0} MiB";
    }

    internal void Return(GpuStorage block)
    {
        lock (gate)
        {
            LiveBlocks--;
            (block.IsWeight, block.Saves) = (false, 0);
            block.ClearMirror();
            if (!_closed) { _free[block.SizeClass].Push(block); return; }
        }
        // The device has been closed, and with it its memory.
    }

    private void Trim()
    {
        foreach (var stack in _free)
        {
            while (stack.TryPop(out var block))
            {
                ReservedBytes -= block.Bytes;
                block.Buffer.Dispose();
            }
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            _closed = true;
            Trim();
        }
    }
}

/// <summary>
/// Memory of the host that the device reads and writes by itself: what is copied passes through here, so that a copy to the device need not be waited for. It
/// is filled from its start to its end; before it starts over, the stream is waited for.
/// </summary>
internal sealed unsafe class Staging : IDisposable
{
    private const int Size = 4 << 20;

    private readonly Accelerator _accelerator;
    private readonly Launcher _launcher;
    private readonly byte* _address;
    private readonly PageLockScope<byte> _lock;
    private int _used;

    internal Staging(Accelerator accelerator, Launcher launcher)
    {
        (_accelerator, _launcher) = (accelerator, launcher);
        _address = (byte*)NativeMemory.AlignedAlloc(Size, 4096);
        try
        {
            _lock = accelerator.CreatePageLockFromPinned<byte>((nint)_address, Size);
        }
        catch
        {
            NativeMemory.AlignedFree(_address);
            throw;
        }
    }

    /// <summary>How often the host has waited.</summary>
    internal long Waits { get; private set; }

    internal void ToDevice(ReadOnlySpan<byte> from, ArrayView<byte> to)
    {
        for (var done = 0; done < from.Length;)
        {
            var part = Math.Min(from.Length - done, Size);
            if (_used + part > Size) Wait();
            from.Slice(done, part).CopyTo(new Span<byte>(_address + _used, part));
            try { to.SubView(done, part).CopyFromCPUUnsafeAsync(_accelerator.DefaultStream, ref _address[_used], part); }
            catch (AcceleratorException error) { throw _launcher.Failed(error); }
            _used += (part + 63) & ~63;
            done += part;
        }
    }

    internal void ToHost(ArrayView<byte> from, Span<byte> to)
    {
        for (var done = 0; done < to.Length;)
        {
            var part = Math.Min(to.Length - done, Size);
            if (_used + part > Size) Wait();
            var at = _used;                                                            // beside what is still on its way to the device: one wait for both
            try { from.SubView(done, part).CopyToCPUUnsafeAsync(_accelerator.DefaultStream, ref _address[at], part); }
            catch (AcceleratorException error) { throw _launcher.Failed(error); }
            Wait();
            new ReadOnlySpan<byte>(_address + at, part).CopyTo(to[done..]);
            done += part;
        }
    }

    /// <summary>Waits for the stream; all of the memory is free again.</summary>
    internal void Wait()
    {
        Waits++;
        try { _accelerator.DefaultStream.Synchronize(); }
        catch (AcceleratorException error) { throw _launcher.Failed(error); }
        _used = 0;
    }

    public void Dispose()
    {
        try { _lock.Dispose(); }
        finally { NativeMemory.AlignedFree(_address); }
    }
}
