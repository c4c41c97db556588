namespace NanoLora;

/// <summary>
/// Neighbouring rows of a tensor at the start of a tape of their own: for functions of each row alone, which are run, and run back, a slice of rows at a
/// time, so that what they make of all rows never exists at once. Tape and tensors end with the slice.
/// </summary>
internal readonly struct RowSlice : IDisposable
{
    private readonly Leaf _leaf;
    private readonly int _start, _end, _floor;
    private readonly Scope _scope;

    /// <summary>Rows <paramref name="start"/> to <paramref name="end"/> of x, the latter excluded; with a tape if <paramref name="records"/>.</summary>
    public RowSlice(Tensor x, int start, int end, bool records = true)
    {
        (_start, _end, _floor) = (start, end, x.Workspace.TapeLength);
        _leaf = new Leaf(new Shape(end - start, x.Cols));
        _scope = x.Workspace.Open(records);
        X = x.Flat().Slice(0, start, end).Detach();
        if (records) X.Node = _leaf;
    }

    /// <summary>The rows, [end - start, D].</summary>
    public Tensor X { get; }

    /// <summary>Sends the gradient of what a step of the slice's tape made back, and writes what reaches the rows into those of dx.</summary>
    /// <param name="step">The step; null where it does not depend on the rows.</param>
    /// <param name="dy">The gradient, which is taken over.</param>
    /// <param name="dx">[.., D], of all rows.</param>
    public void Backward(Node? step, Tensor dy, Tensor dx)
    {
        var rows = dx.Flat().Slice(0, _start, _end);
        if (step is null) dy.Dispose();
        else
        {
            step.Accumulate(dy);
            dx.Workspace.Rewind(_floor);
        }
        if (_leaf.Gradient is { } gradient) dx.Backend.Copy(gradient, rows);
        else dx.Backend.Fill(rows, 0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _leaf.Clear();
        _scope.Dispose();
    }

    /// <summary>Where slices of about equal size begin and end, none of more than <paramref name="most"/> rows.</summary>
    public static IEnumerable<(int Start, int End)> Bounds(int rows, int most)
    {
        var count = (rows + most - 1) / most;
        for (var i = 0; i < count; i++) yield return ((int)((long)i * rows / count), (int)((long)(i + 1) * rows / count));
    }
}

public partial class Tensor
{
    /// <summary>Whether a function of rows leads to something that trains besides what it is given: asked of one row.</summary>
    internal bool TrainsInside(Func<Tensor, Tensor> f)
    {
        using var scope = Workspace.Scope();
        return f(Flat().Slice(0, 0, 1).Detach()).NeedsGrad;
    }
}
