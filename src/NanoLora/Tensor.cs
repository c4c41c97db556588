using System.Runtime.CompilerServices;

namespace NanoLora;

/// <summary>
/// A dense array of up to six axes, row-major and always contiguous, on one backend. The operations stand in <c>Ops/</c>, one file each.
/// Dispose it, or let the <see cref="Scope"/> it was born in do so.
/// </summary>
public sealed partial class Tensor : IDisposable
{
    private Storage? _storage;
    private readonly int _offset;   // of the first element, in elements

    internal Tensor(Workspace workspace, Storage storage, Shape shape, DType dtype, int offset = 0)
    {
        (Workspace, _storage, Shape, DType, _offset) = (workspace, storage, shape, dtype, offset);
        Count = shape.Count;
        storage.Retain();
    }

    /// <summary>The sizes of the axes.</summary>
    public Shape Shape { get; }

    /// <summary>What an element is.</summary>
    public DType DType { get; }

    /// <summary>Who keeps its scope, tape and random numbers.</summary>
    public Workspace Workspace { get; }

    /// <summary>Where its kernels run.</summary>
    public Backend Backend => Workspace.Backend;

    /// <summary>The number of elements.</summary>
    public int Count { get; }

    /// <summary>The size of the last axis; 1 for a scalar.</summary>
    public int Cols => Shape.Cols;

    /// <summary>The product of all axes but the last.</summary>
    public int Rows => Shape.Rows;

    /// <summary>The step of the tape that made it, or null where no gradient is wanted.</summary>
    internal Node? Node { get; set; }

    /// <summary>Whether the tape leads from here to something that trains.</summary>
    public bool NeedsGrad => Node is not null && Workspace.Records;

    /// <summary>The block it lives in.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed, or its scope has ended.</exception>
    public Storage Storage => _storage ?? throw Ended();

    /// <summary>The first element's place in <see cref="Storage"/>, in elements.</summary>
    public int Offset => _offset;

    /// <summary>The scope depth it is kept from, 0 if it is not.</summary>
    internal int KeptFrom { get; set; }

    /// <summary>A new tensor beside this one, contents undefined.</summary>
    internal Tensor New(Shape shape, DType dtype = DType.F32, [CallerMemberName] string op = "")
    {
        try { return Workspace.New(shape, dtype); }
        catch (DeviceMemoryException error) { throw new DeviceMemoryException($"{op}: no memory for {shape}: {error.Message}", error); }
    }

    /// <summary>
    /// Ends an operation: notes the step of the tape that made this tensor (or none), and checks the values while a step is replayed in search of a NaN.
    /// </summary>
    internal Tensor By(Node? node, [CallerMemberName] string op = "")
    {
        if (node is not null)
        {
            Node = node;
            Workspace.Record(node, Shape, op);
        }
        if (Workspace.CheckFinite) Workspace.Check(this, op);
        return this;
    }

    /// <summary>The same storage under another shape, without a node; the caller or the scope disposes it.</summary>
    internal Tensor View(Shape shape, int offset = 0) => Workspace.Track(Alias(shape, offset));

    /// <summary>The same storage, held once more, outside of every scope and tape.</summary>
    internal Tensor Alias() => Alias(Shape, 0);

    /// <summary>As <see cref="Alias()"/>, under another shape of as many elements.</summary>
    internal Tensor Reshaped(Shape shape) => Alias(shape, 0);

    /// <summary>As <see cref="Alias()"/>, of elements from <paramref name="offset"/> on.</summary>
    internal Tensor Alias(Shape shape, int offset) => new(Workspace, Storage, shape, DType, _offset + offset);

    /// <summary>
    /// This tensor for the operations of another workspace of the same backend: storage and gradient are shared, scope and tape are that workspace's.
    /// </summary>
    public Tensor In(Workspace workspace)
    {
        if (workspace == Workspace) return this;
        if (workspace.Backend != Backend)
            throw new InvalidOperationException($"Tensor.In: the tensor {Shape} lies on {Backend.Name}, the workspace on {workspace.Backend.Name}.");
        return workspace.Track(new Tensor(workspace, Storage, Shape, DType, _offset) { Node = Node });
    }

    /// <summary>The same values, cut off from the tape.</summary>
    public Tensor Detach() => View(Shape);

    /// <summary>Lets the current scope's end pass it by: it lives on in the enclosing scope, or in the caller's hands.</summary>
    public Tensor Keep() => Workspace.Keep(this);

    /// <summary>Copies the values out, as floats.</summary>
    public float[] ToArray()
    {
        var values = new float[Count];
        CopyTo(values);
        return values;
    }

    /// <summary>Copies the values out; integers are converted.</summary>
    /// <exception cref="ArgumentException">The destination is too short, or the elements are of a type that <c>Cast</c> must widen first.</exception>
    public void CopyTo(Span<float> destination)
    {
        if (destination.Length < Count) throw new ArgumentException($"Tensor.CopyTo: {destination.Length} places for the {Count} elements of {Shape}.");
        if (DType == DType.F32) Backend.Download(this, destination[..Count]);
        else if (DType == DType.I32) for (var (i, ints) = (0, ToInts()); i < ints.Length; i++) destination[i] = ints[i];
        else throw new ArgumentException($"Tensor.CopyTo: {DType} elements; widen them with Cast(DType.F32).");
    }

    /// <summary>Copies the values of an integer tensor out.</summary>
    public int[] ToInts()
    {
        if (DType != DType.I32) throw new ArgumentException($"Tensor.ToInts: the elements of {Shape} are {DType}.");
        var values = new int[Count];
        Backend.Download(this, values.AsSpan());
        return values;
    }

    /// <summary>The value of a tensor of one element.</summary>
    public float Item()
    {
        if (Count != 1) throw new InvalidOperationException($"Tensor.Item: {Shape} has {Count} elements, not one.");
        Span<float> value = stackalloc float[1];
        CopyTo(value);
        return value[0];
    }

    /// <summary>Lets the storage go.</summary>
    public void Dispose()
    {
        _storage?.Release();
        _storage = null;
        Node = null;
    }

    /// <summary>Shape and element type.</summary>
    public override string ToString() => $"Tensor {Shape} {DType}";

    private ObjectDisposedException Ended() => new(nameof(Tensor), $"A tensor {Shape} was used after its scope ended; keep it with Scope.Keep.");
}
