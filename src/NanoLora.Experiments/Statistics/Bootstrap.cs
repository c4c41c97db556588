using System.Numerics.Tensors;

namespace NanoLora.Experiments;

/// <summary>
/// The paired bootstrap: how the mean over tasks moves when other tasks like these, and other draws within them, are studied. A resample draws as many tasks as
/// there are, with replacement, and within each drawn task as many of its draws; its value is the mean over tasks of their means over draws.
/// Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapters 8 and 13.
/// </summary>
/// <remarks>
/// The resamples depend on the layout and the seed alone, so every arm and every difference of a layout is judged by the same ones. They are kept as what each
/// value weighs in each resample: a mean over them is a product of a matrix and a vector.
/// </remarks>
public sealed class Bootstrap
{
    /// <summary>How many resamples there are if nothing else is said.</summary>
    public const int Resamples = 10_000;

    private readonly double[] _weights;             // [resamples, values], whole where all tasks have as many draws, so that a mean of 0 is 0
    private readonly double _scale;                 // what they are divided by: tasks x most draws
    private readonly int[] _draws;                  // per task
    private readonly int _values;

    /// <summary>Draws the resamples.</summary>
    /// <param name="draws">How many draws each task has, one or more.</param>
    /// <param name="seed">The same seed gives the same resamples.</param>
    /// <param name="resamples">How many.</param>
    public Bootstrap(IReadOnlyList<int> draws, ulong seed = 1, int resamples = Resamples)
    {
        ArgumentNullException.ThrowIfNull(draws);
        ArgumentOutOfRangeException.ThrowIfLessThan(resamples, 1);
        if (draws.Count == 0 || draws.Any(n => n < 1))
            throw new ArgumentException("Bootstrap: it takes at least one task, and each has at least one draw", nameof(draws));
        (_draws, _values) = ([.. draws], draws.Sum());
        var most = draws.Max();
        _scale = (double)draws.Count * most;
        _weights = new double[(long)resamples * _values];
        var starts = new int[draws.Count];
        for (var task = 1; task < starts.Length; task++) starts[task] = starts[task - 1] + draws[task - 1];

        var numbers = new Philox(seed, Philox.StreamOf("bootstrap"));
        var at = 0ul;
        for (var resample = 0; resample < resamples; resample++)
        {
            var weights = _weights.AsSpan(resample * _values, _values);
            for (var i = 0; i < starts.Length; i++)
            {
                var task = numbers.Below(at++, starts.Length);
                var weight = (double)most / draws[task];
                for (var j = 0; j < draws[task]; j++) weights[starts[task] + numbers.Below(at++, draws[task])] += weight;
            }
        }
    }

    /// <summary>Resamples that are given: of tasks with one value each.</summary>
    /// <param name="indices">Which value is drawn, [resamples, tasks], row by row.</param>
    /// <param name="tasks">How many values there are.</param>
    public Bootstrap(ReadOnlySpan<int> indices, int tasks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tasks, 1);
        if (indices.IsEmpty || indices.Length % tasks != 0)
            throw new ArgumentException($"Bootstrap: {indices.Length} indices are not resamples of {tasks} values", nameof(indices));
        (_draws, _values, _scale) = (new int[tasks], tasks, tasks);
        Array.Fill(_draws, 1);
        _weights = new double[indices.Length];
        for (var i = 0; i < indices.Length; i++)
        {
            if ((uint)indices[i] >= (uint)tasks) throw new ArgumentException($"Bootstrap: index {indices[i]} is not one of {tasks} values", nameof(indices));
            _weights[i / tasks * tasks + indices[i]]++;
        }
    }

    /// <summary>The value of each resample.</summary>
    /// <param name="values">Task by task, the draws of a task side by side.</param>
    public double[] Means(ReadOnlySpan<double> values)
    {
        if (values.Length != _values) throw new ArgumentException($"Bootstrap: {values.Length} values, but the resamples are of {_values}", nameof(values));
        var means = new double[_weights.Length / _values];
        for (var i = 0; i < means.Length; i++) means[i] = TensorPrimitives.Dot(_weights.AsSpan(i * _values, _values), values) / _scale;
        return means;
    }

    /// <summary>The mean over tasks with its 95 % percentile interval; one task has none.</summary>
    /// <inheritdoc cref="Means"/>
    public Estimate Estimate(ReadOnlySpan<double> values)
    {
        var means = Means(values);
        var tasks = TaskMeans(values);
        if (tasks.Length == 1) return Statistics.Estimate(tasks);
        Array.Sort(means);
        return new Estimate(tasks.Length, Statistics.Mean(tasks), Statistics.Deviation(tasks), Quantile(means, 0.025), Quantile(means, 0.975));
    }

    /// <summary>The mean of each task over its draws.</summary>
    /// <inheritdoc cref="Means"/>
    public double[] TaskMeans(ReadOnlySpan<double> values)
    {
        var means = new double[_draws.Length];
        var start = 0;
        for (var task = 0; task < means.Length; start += _draws[task++]) means[task] = Statistics.Mean(values.Slice(start, _draws[task]));
        return means;
    }

    /// <summary>The value below which the share <paramref name="p"/> of a sorted sample lies, linear between its neighbours.</summary>
    public static double Quantile(ReadOnlySpan<double> sorted, double p)
    {
        if (sorted.IsEmpty) throw new ArgumentException("Bootstrap.Quantile: the sample is empty", nameof(sorted));
        var at = p * (sorted.Length - 1);
        var below = Math.Clamp((int)at, 0, sorted.Length - 1);
        var above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
    }
}
