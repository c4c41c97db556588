namespace NanoLora;

/// <summary>
/// What belongs to one line of work on a backend: its scopes, its tape, its random numbers. A model's weights are shared by all workspaces and never
/// written; each request or thread has a workspace of its own. A workspace may move between threads but serves one at a time.
/// </summary>
public sealed class Workspace
{
    private readonly record struct Frame(int Born, int Taped, bool Records);

    private readonly List<Tensor> _born = [];
    private readonly List<Node> _tape = [];
    private readonly List<Frame> _frames = [];

    /// <summary>A workspace on <paramref name="backend"/>.</summary>
    public Workspace(Backend backend, ulong seed = 0) => (Backend, Seed) = (backend, seed);

    /// <summary>Where it works.</summary>
    public Backend Backend { get; }

    /// <summary>The seed of its random numbers.</summary>
    public ulong Seed { get; set; }

    /// <summary>How many random streams have been drawn from the seed; set it back to draw the same ones again.</summary>
    public ulong Streams { get; set; }

    /// <summary>Whether dropout acts.</summary>
    public bool Training { get; set; }

    /// <summary>
    /// Whether the blocks of a model keep for backward only what enters them, and make all else again there (gradient checkpointing): a fraction of the
    /// memory of activations, for about a quarter more time. Gradients are the same, to the bit.
    /// </summary>
    public bool RecomputeBlocks { get; set; }

    /// <summary>Whether operations leave steps on the tape.</summary>
    public bool Records { get; private set; } = true;

    /// <summary>Checks the result of every operation for NaN and infinity: slow, for finding out where one came from.</summary>
    public bool CheckFinite { get; set; }

    /// <summary>Bytes that the tape holds now beyond the weights.</summary>
    public long SavedBytes { get; private set; }

    /// <summary>The most bytes the tape has held.</summary>
    public long PeakSavedBytes { get; set; }

    private Dictionary<object, object>? _belongings;

    /// <summary>Gives this workspace something of its own under a key: a request's mixing weights, a cache.</summary>
    public void Set(object key, object value) => (_belongings ??= new(ReferenceEqualityComparer.Instance))[key] = value;

    /// <summary>What was set under a key, or null.</summary>
    public T? Get<T>(object key) where T : class => _belongings?.GetValueOrDefault(key) as T;

    /// <summary>A scope: what is born in it dies with it unless kept. With <paramref name="grad"/> false nothing born in it has a node.</summary>
    public Scope Scope(bool grad = true) => Open(Records && grad);

    /// <summary>A scope that records although the one around it does not: for a block that is run again within a backward pass.</summary>
    internal Scope Open(bool records)
    {
        _frames.Add(new Frame(_born.Count, _tape.Count, Records));
        Records = records;
        return new Scope(this, _frames.Count);
    }

    /// <summary>The random numbers of the next use: one stream per call of dropout, per shuffle, per initialisation.</summary>
    public Philox NextStream() => new(Seed, Streams++);

    /// <summary>A new tensor, contents undefined; the current scope owns it, or the caller where there is none.</summary>
    public Tensor New(Shape shape, DType dtype = DType.F32) => Track(Loose(shape, dtype));

    /// <summary>A new tensor of zeros.</summary>
    public Tensor Zeros(Shape shape)
    {
        var x = New(shape);
        Backend.Fill(x, 0);
        return x;
    }

    /// <summary>A new tensor with the given values, row by row.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's.</exception>
    public Tensor From(ReadOnlySpan<float> values, Shape shape)
    {
        if (values.Length != shape.LongCount) throw new ArgumentException($"Workspace.From: {values.Length} values for {shape}, which has {shape.LongCount}.");
        var x = New(shape);
        Backend.Upload(values, x);
        return x;
    }

    /// <summary>A new integer tensor with the given values, row by row.</summary>
    /// <exception cref="ArgumentException">The number of values is not the shape's.</exception>
    public Tensor From(ReadOnlySpan<int> values, Shape shape)
    {
        if (values.Length != shape.LongCount) throw new ArgumentException($"Workspace.From: {values.Length} values for {shape}, which has {shape.LongCount}.");
        var x = New(shape, DType.I32);
        Backend.Upload(values, x);
        return x;
    }

    /// <summary>A new tensor that no scope owns.</summary>
    internal Tensor Loose(Shape shape, DType dtype = DType.F32)
    {
        if (shape.LongCount > int.MaxValue) throw new ArgumentException($"A tensor {shape} has {shape.LongCount} elements; at most 2^31 - 1 are supported.");
        return new Tensor(this, Backend.Allocate(shape.LongCount * dtype.Bytes()), shape, dtype);
    }

    internal Tensor Track(Tensor tensor)
    {
        if (_frames.Count > 0) _born.Add(tensor);
        return tensor;
    }

    internal Tensor Keep(Tensor tensor)
    {
        tensor.KeptFrom = _frames.Count;
        return tensor;
    }

    /// <summary>Ends every scope deeper than <paramref name="depth"/> - 1. A kept tensor moves to the enclosing scope, and then its tape does too.</summary>
    internal void Close(int depth)
    {
        while (_frames.Count >= depth)
        {
            var frame = _frames[^1];
            int kept = frame.Born, level = _frames.Count;
            var tapeLives = false;
            for (var i = frame.Born; i < _born.Count; i++)
            {
                var tensor = _born[i];
                if (tensor.KeptFrom == 0 || tensor.KeptFrom > level) { tensor.Dispose(); continue; }
                if (tensor.KeptFrom == level) tensor.KeptFrom = 0;                      // one kept from an outer scope passes this one by, too
                tapeLives |= tensor.Node is not null;
                _born[kept++] = tensor;
            }
            _born.RemoveRange(kept, _born.Count - kept);
            if (!tapeLives) Cut(frame.Taped);
            _frames.RemoveAt(level - 1);
            if (_frames.Count == 0) _born.Clear();
            Records = frame.Records;
        }
    }

    internal void Record(Node node, Shape shape, string op)
    {
        node.Join(this, shape, op);
        _tape.Add(node);
    }

    /// <summary>Walks the tape backwards from its end to <paramref name="floor"/>; a node without a gradient lies on no path from the loss.</summary>
    internal void Rewind(int floor)
    {
        try
        {
            for (var i = _tape.Count - 1; i >= floor; i--) _tape[i].Run();
        }
        catch
        {
            for (var i = _tape.Count - 1; i >= floor; i--) _tape[i].Release();       // half a pass must not run into the next one
            throw;
        }
        finally
        {
            if (_frames.Count == 0) Cut(floor);
        }
    }

    internal int TapeLength => _tape.Count;

    private void Cut(int floor)
    {
        for (var i = _tape.Count - 1; i >= floor; i--) _tape[i].Release();
        _tape.RemoveRange(floor, _tape.Count - floor);
    }

    internal void Saved(Storage storage)
    {
        if (storage.IsWeight || storage.Saves++ > 0) return;        // several workspaces save a weight at once: it is not counted
        SavedBytes += storage.Bytes;
        PeakSavedBytes = Math.Max(PeakSavedBytes, SavedBytes);
    }

    internal void Dropped(Storage storage)
    {
        if (!storage.IsWeight && --storage.Saves == 0) SavedBytes -= storage.Bytes;
    }

    internal void Check(Tensor x, string op)
    {
        if (x.DType == DType.F32 && !Backend.AllFinite(x)) throw new NonFiniteException(op, x.Shape);
    }
}

/// <summary>Who frees: a tensor born in a scope dies with it unless kept. Made by <see cref="Workspace.Scope"/>, used with <c>using</c>.</summary>
public readonly struct Scope : IDisposable
{
    private readonly Workspace _workspace;
    private readonly int _depth;

    internal Scope(Workspace workspace, int depth) => (_workspace, _depth) = (workspace, depth);

    /// <summary>Lets a tensor live on in the enclosing scope, or in the caller's hands.</summary>
    public Tensor Keep(Tensor tensor)
    {
        tensor.KeptFrom = _depth;
        return tensor;
    }

    /// <summary>Ends the scope and what was born in it.</summary>
    public void Dispose() => _workspace.Close(_depth);
}

/// <summary>An operation gave NaN or infinity.</summary>
public sealed class NonFiniteException(string op, Shape shape)
    : Exception($"{op}: the result {shape} holds a NaN or an infinity. Lower the learning rate, clip the gradients, or check the input.")
{
    /// <summary>The operation that gave it.</summary>
    public string Op { get; } = op;
}
