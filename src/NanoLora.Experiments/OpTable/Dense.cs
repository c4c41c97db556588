namespace NanoLora.Experiments;

/// <summary>A double-precision array for references: an index function away from any formula.</summary>
public sealed class Dense
{
    public Dense(double[] values, params int[] shape) => (Values, Shape) = (values, shape);

    public double[] Values { get; }

    public int[] Shape { get; }

    public int Rank => Shape.Length;

    public int Cols => Rank == 0 ? 1 : Shape[^1];

    public int Rows => Values.Length / Math.Max(1, Cols);

    /// <summary>The element at an index.</summary>
    public double this[params ReadOnlySpan<int> at]
    {
        get
        {
            var i = 0;
            for (var axis = 0; axis < Rank; axis++) i = i * Shape[axis] + at[axis];
            return Values[i];
        }
    }

    public static int Size(int[] shape)
    {
        var n = 1;
        foreach (var size in shape) n *= size;
        return n;
    }

    /// <summary>The array whose element at an index is f of the index.</summary>
    public static Dense Of(int[] shape, Func<int[], double> f)
    {
        var values = new double[Size(shape)];
        var at = new int[shape.Length];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = f(at);
            for (var axis = shape.Length - 1; axis >= 0 && ++at[axis] == shape[axis]; axis--) at[axis] = 0;
        }
        return new Dense(values, shape);
    }

    public Dense Map(Func<double, double> f) => new(Array.ConvertAll(Values, x => f(x)), Shape);

    public Dense Reshape(params int[] shape) => new(Values, shape);

    /// <summary>Each row through f.</summary>
    public Dense MapRows(Func<double[], double[]> f)
    {
        var values = new double[Values.Length];
        for (var row = 0; row < Rows; row++) f(Values[(row * Cols)..((row + 1) * Cols)]).CopyTo(values, row * Cols);
        return new Dense(values, Shape);
    }

    /// <summary>Reorders the axes.</summary>
    public Dense Permute(params int[] order)
    {
        var from = new int[Rank];
        return Of(Array.ConvertAll(order, axis => Shape[axis]), at =>
        {
            for (var i = 0; i < order.Length; i++) from[order[i]] = at[i];
            return this[from];
        });
    }

    /// <summary>f over one axis, which goes.</summary>
    public Dense Reduce(int axis, Func<double[], double> f)
    {
        var a = axis < 0 ? axis + Rank : axis;
        var from = new int[Rank];
        return Of([.. Shape[..a], .. Shape[(a + 1)..]], at =>
        {
            for (var i = 0; i < Rank; i++) from[i] = i < a ? at[i] : i > a ? at[i - 1] : 0;
            var line = new double[Shape[a]];
            for (var r = 0; r < line.Length; r++)
            {
                from[a] = r;
                line[r] = this[from];
            }
            return f(line);
        });
    }

    /// <summary>f of two arrays, stretched to a common shape as numpy does.</summary>
    public static Dense Zip(Dense a, Dense b, Func<double, double, double> f)
    {
        var rank = Math.Max(a.Rank, b.Rank);
        var shape = new int[rank];
        for (var i = 1; i <= rank; i++) shape[^i] = Math.Max(i <= a.Rank ? a.Shape[^i] : 1, i <= b.Rank ? b.Shape[^i] : 1);
        return Of(shape, at => f(a.Stretched(at), b.Stretched(at)));
    }

    /// <summary>The element at the index of a larger shape to which this one is stretched.</summary>
    public double Stretched(int[] at)
    {
        var i = 0;
        for (var axis = 0; axis < Rank; axis++) i = i * Shape[axis] + (Shape[axis] == 1 ? 0 : at[at.Length - Rank + axis]);
        return Values[i];
    }

    /// <summary>The error function: Σ (-1)ⁿ x^(2n+1) / (n! (2n+1)) near 0, the continued fraction of erfc beyond.</summary>
    public static double Erf(double x)
    {
        var z = Math.Abs(x);
        if (z < 2.5)
        {
            double term = z, sum = z;
            for (var n = 1; n < 80; n++)
            {
                term *= -z * z / n;
                sum += term / (2 * n + 1);
            }
            return Math.Sign(x) * sum * 2 / Math.Sqrt(Math.PI);
        }
        var fraction = z;
        for (var n = 60; n >= 1; n--) fraction = z + n / 2.0 / fraction;
        return Math.Sign(x) * (1 - Math.Exp(-z * z) / fraction / Math.Sqrt(Math.PI));
    }

    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}
