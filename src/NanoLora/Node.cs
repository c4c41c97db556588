using System.Runtime.CompilerServices;

namespace NanoLora;

/// <summary>
/// One step of the tape: the gradient of one operation, and exactly what it keeps for it. Nodes link to nodes, not to tensors, so an activation that no
/// gradient needs dies in the forward pass; after a node has run, what it saved goes back to the pool.
/// </summary>
public abstract class Node
{
    /// <summary>The most inputs, and the most saved tensors.</summary>
    internal const int Most = 6;

    [InlineArray(Most)] private struct Nodes { private Node? _first; }

    [InlineArray(Most)] private struct Tensors { private Tensor? _first; }

    private Nodes _inputs;
    private Tensors _saves, _given;
    private readonly int _inputCount, _saveCount;
    private Tensor? _grad;
    private bool _released;

    /// <summary>A node whose gradient flows to <paramref name="inputs"/> (those that want one) and needs <paramref name="saves"/> for it.</summary>
    protected Node(ReadOnlySpan<Tensor?> inputs, ReadOnlySpan<Tensor?> saves = default)
    {
        if (inputs.Length > Most || saves.Length > Most) throw new ArgumentException($"Node: at most {Most} inputs and {Most} saved tensors.");
        (_inputCount, _saveCount) = (inputs.Length, saves.Length);
        for (var i = 0; i < inputs.Length; i++) _inputs[i] = inputs[i]?.Node;
        for (var i = 0; i < saves.Length; i++) _saves[i] = saves[i]?.Alias();
    }

    /// <summary>The shape of what the operation made, and so of its gradient.</summary>
    internal Shape Shape { get; private protected set; }

    /// <summary>The operation.</summary>
    internal string Op { get; private set; } = "";

    private Workspace Owner { get; set; } = null!;

    /// <summary>Turns the gradient of the output into those of the inputs that want one.</summary>
    protected abstract void Backward(Tensor dy);

    /// <summary>Whether input <paramref name="i"/> wants a gradient.</summary>
    protected bool Wants(int i) => _inputs[i] is not null;

    /// <summary>Whether input <paramref name="i"/> wants a gradient; if so, where to write it (contents undefined: a backward kernel overwrites).</summary>
    protected bool Wants(int i, out Tensor dx)
    {
        dx = _inputs[i] is { } input ? _given[i] = Owner.Loose(input.Shape) : null!;
        return dx is not null;
    }

    /// <summary>Hands input <paramref name="i"/> a gradient that exists already, such as dy itself.</summary>
    protected void Give(int i, Tensor dx)
    {
        if (_inputs[i] is { } input) _given[i] = dx.Reshaped(input.Shape);
    }

    /// <summary>The step that made input <paramref name="i"/>, or null where it wants no gradient.</summary>
    internal Node? Input(int i) => _inputs[i];

    /// <summary>The shape of input <paramref name="i"/>, one that wants a gradient.</summary>
    protected Shape InputShape(int i) => _inputs[i]!.Shape;

    /// <summary>Saved tensor <paramref name="i"/>.</summary>
    protected Tensor Saved(int i) => _saves[i]!;

    /// <summary>Saved tensor <paramref name="i"/>, or null where none was given.</summary>
    protected Tensor? SavedOrNull(int i) => _saves[i];

    /// <summary>Puts the node on a workspace's tape.</summary>
    internal void Join(Workspace owner, Shape shape, string op)
    {
        for (var i = 0; i < _inputCount; i++)
        {
            // A leaf belongs to no workspace; every other node to the one whose tape it is on, and only that one is walked.
            if (_inputs[i]?.Owner is not { } other || other == owner) continue;
            for (var n = 0; n < _saveCount; n++) _saves[n]?.Dispose();
            throw new InvalidOperationException($"{op}: operand {i} {_inputs[i]!.Shape} lies on another workspace's tape, "
                + "so its gradient would be lost; bring its values over with Detach().In(workspace).");
        }
        (Owner, Shape, Op) = (owner, shape, op);
        for (var i = 0; i < _saveCount; i++)
        {
            if (_saves[i] is { } saved) owner.Saved(saved.Storage);
        }
    }

    /// <summary>Adds a share of the gradient; takes the tensor over.</summary>
    internal virtual void Accumulate(Tensor share)
    {
        if (!_released) { Sum(ref _grad, share); return; }
        share.Dispose();
        throw new InvalidOperationException($"{Op}: a second backward pass through it; what it saved is gone. Run the forward pass again.");
    }

    /// <summary>sum += share, in place where nobody else holds the sum. Takes the share over.</summary>
    private protected static void Sum(ref Tensor? sum, Tensor share)
    {
        if (sum is null) { sum = share; return; }
        if (sum.Storage.IsSole)
        {
            sum.Backend.AddInto(share, sum);
            share.Dispose();
            return;
        }
        var total = sum.Workspace.Loose(sum.Shape);
        sum.Backend.Binary<Add>(sum, share, total);
        sum.Dispose();
        share.Dispose();
        sum = total;
    }

    /// <summary>Runs backward if a gradient has arrived, hands the inputs theirs, and lets go of what was saved.</summary>
    internal void Run()
    {
        if (_grad is not { } dy) return;
        _grad = null;
        try
        {
            try
            {
                using var scope = Owner.Scope(grad: false);
                Backward(dy);
            }
            finally
            {
                dy.Dispose();
                Release();
            }
            HandOn();
        }
        catch
        {
            for (var i = 0; i < _inputCount; i++) _given[i]?.Dispose();
            throw;
        }
    }

    private void HandOn()
    {
        for (var i = 0; i < _inputCount; i++)
        {
            if (_given[i] is not { } dx) continue;
            if (Owner.CheckFinite) Owner.Check(dx, $"the gradient of {Op}");
            _given[i] = null;
            _inputs[i]!.Accumulate(dx);
        }
    }

    /// <summary>Gives what was saved back to the pool.</summary>
    internal void Release()
    {
        if (_released) return;
        _released = true;
        for (var i = 0; i < _saveCount; i++)
        {
            if (_saves[i] is not { } saved) continue;
            Owner.Dropped(saved.Storage);
            saved.Dispose();
            _saves[i] = null;
        }
        _grad?.Dispose();
        _grad = null;
    }
}

/// <summary>The end of the tape: gradients that arrive here add up in a parameter.</summary>
internal sealed class Leaf : Node
{
    private Tensor? _sum;

    internal Leaf(Shape shape) : base([]) => Shape = shape;

    /// <summary>What has arrived since it was last taken, or null.</summary>
    internal Tensor? Gradient => _sum;

    internal override void Accumulate(Tensor share) => Sum(ref _sum, share);

    internal void Clear()
    {
        _sum?.Dispose();
        _sum = null;
    }

    protected override void Backward(Tensor dy) { }
}

public partial class Tensor
{
    /// <summary>Sends a gradient of 1 back from this scalar to everything that trains.</summary>
    /// <exception cref="InvalidOperationException">Not a single element, or nothing that trains leads to it.</exception>
    public void Backward()
    {
        if (Count != 1) throw new InvalidOperationException($"Tensor.Backward: {Shape} is not a scalar; pass the gradient of each element.");
        RequireTape();
        var one = Workspace.Loose(Shape);
        Backend.Fill(one, 1);
        Backward(one, 0, owned: true);
    }

    /// <summary>Sends the given gradient back from this tensor to everything that trains.</summary>
    /// <param name="dy">The gradient, of this tensor's shape.</param>
    /// <exception cref="ArgumentException">Another shape.</exception>
    /// <exception cref="InvalidOperationException">Nothing that trains leads to it.</exception>
    public void Backward(Tensor dy) => Backward(dy, 0, owned: false);

    internal void Backward(Tensor dy, int floor, bool owned = false)
    {
        if (dy.Shape != Shape) throw new ArgumentException($"Tensor.Backward: a gradient {dy.Shape} for {Shape}.");
        RequireTape().Accumulate(owned ? dy : dy.Alias());
        Workspace.Rewind(floor);
    }

    private Node RequireTape() =>
        Node ?? throw new InvalidOperationException("Tensor.Backward: nothing that trains leads to this tensor. "
            + "Mark a parameter with Trains, attach an adapter, or open the scope with grad.");
}
