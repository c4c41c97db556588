namespace NanoLora;

/// <summary>
/// Where tensors live and kernels run. Each operation's file adds what it asks of a backend, as abstract methods, so a missing kernel does not compile.
/// Kernels may be called from several workspaces at once.
/// </summary>
public abstract partial class Backend : IDisposable
{
    private Workspace? _main;

    /// <summary>As in "cpu".</summary>
    public abstract string Name { get; }

    /// <summary>Which kernels it runs and on how many threads, for logs and reports, as in "cpu: AVX-512, 8 x 48 tiles, vectors of 8, 2 threads".</summary>
    public abstract string Description { get; }

    /// <summary>The workspace of programs that need only one; models are loaded into it.</summary>
    public Workspace Main => _main ?? Interlocked.CompareExchange(ref _main, new Workspace(this), null) ?? _main;

    /// <summary>A scope of <see cref="Main"/>: what is born in it dies with it unless kept.</summary>
    /// <param name="grad">False: nothing born in it has a node.</param>
    public Scope Scope(bool grad = true) => Main.Scope(grad);

    /// <summary>Blocks that tensors or the tape hold now.</summary>
    public abstract int LiveBlocks { get; }

    /// <summary>Bytes taken from the system, in use or waiting in the pool.</summary>
    public abstract long ReservedBytes { get; }

    /// <summary>A block from the pool, contents undefined.</summary>
    public abstract Storage Allocate(long bytes);

    /// <summary>Copies values into a tensor of the same size.</summary>
    public abstract void Upload<T>(ReadOnlySpan<T> values, Tensor x) where T : unmanaged;

    /// <summary>Copies a tensor's values out.</summary>
    public abstract void Download<T>(Tensor x, Span<T> values) where T : unmanaged;

    /// <summary>x = value</summary>
    public abstract void Fill(Tensor x, float value);

    /// <summary>y = x, element for element; x and y may differ in shape, not in number or type.</summary>
    public abstract void Copy(Tensor x, Tensor y);

    /// <summary>sum += x</summary>
    public abstract void AddInto(Tensor x, Tensor sum);

    /// <summary>Whether x holds neither NaN nor infinity.</summary>
    public abstract bool AllFinite(Tensor x);

    /// <summary>Waits until all that was asked for is done; only a device works behind the caller's back.</summary>
    public virtual void Synchronize() { }

    /// <summary>Frees the pool. Tensors that are still held free their blocks when they are disposed.</summary>
    public abstract void Dispose();
}

/// <summary>A device has no memory left for a tensor.</summary>
public sealed class DeviceMemoryException : Exception
{
    /// <summary>What was asked for and what is free.</summary>
    public DeviceMemoryException(string message, Exception? inner = null) : base(message, inner) { }
}
