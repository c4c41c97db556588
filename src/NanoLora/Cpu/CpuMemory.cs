using System.Numerics;
using System.Runtime.InteropServices;

namespace NanoLora;

/// <summary>A block of native memory, of the pool or borrowed from a mapped file.</summary>
internal sealed class CpuStorage : Storage
{
    private readonly CpuPool? _pool;
    private readonly IDisposable? _lender;

    /// <summary>A block of the pool.</summary>
    internal CpuStorage(CpuPool pool, Backend backend, nint address, long bytes, int sizeClass) : base(backend, bytes) =>
        (_pool, Address, SizeClass) = (pool, address, sizeClass);

    /// <summary>Memory that belongs to <paramref name="lender"/>, which is disposed when the last holder lets go.</summary>
    internal CpuStorage(Backend backend, nint address, long bytes, IDisposable lender) : base(backend, bytes) => (Address, _lender) = (address, lender);

    internal nint Address { get; }

    internal int SizeClass { get; }

    protected override void Free()
    {
        if (_pool is null) _lender!.Dispose();
        else _pool.Return(this);
    }
}

/// <summary>
/// Native blocks, 64-byte aligned, in size classes of four steps an octave (at most a quarter is wasted). A block that is let go waits in its class for
/// the next tensor of that size, so after the first training step nothing is asked of the system.
/// </summary>
internal sealed unsafe class CpuPool(Backend backend) : IDisposable
{
    private readonly Stack<CpuStorage>[] _free = NewClasses();
    private readonly Lock _lock = new();
    private bool _closed;

    internal int LiveBlocks { get; private set; }

    internal long ReservedBytes { get; private set; }

    internal CpuStorage Take(long bytes)
    {
        var (sizeClass, size) = SizeClasses.Of(bytes);
        lock (_lock)
        {
            if (_free[sizeClass].TryPop(out var block))
            {
                LiveBlocks++;
                return block;
            }
        }
        var address = (nint)NativeMemory.AlignedAlloc((nuint)size, 64);                 // may throw: counted only once it is there
        lock (_lock)
        {
            LiveBlocks++;
            ReservedBytes += size;
        }
        return new CpuStorage(this, backend, address, size, sizeClass);
    }

    internal void Return(CpuStorage block)
    {
        lock (_lock)
        {
            LiveBlocks--;
            (block.IsWeight, block.Saves) = (false, 0);
            if (!_closed) { _free[block.SizeClass].Push(block); return; }
            ReservedBytes -= block.Bytes;
        }
        NativeMemory.AlignedFree((void*)block.Address);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            foreach (var stack in _free)
            {
                while (stack.TryPop(out var block))
                {
                    ReservedBytes -= block.Bytes;
                    NativeMemory.AlignedFree((void*)block.Address);
                }
            }
        }
    }

    private static Stack<CpuStorage>[] NewClasses()
    {
        var classes = new Stack<CpuStorage>[SizeClasses.Count];
        for (var i = 0; i < classes.Length; i++) classes[i] = new Stack<CpuStorage>();
        return classes;
    }
}
