using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Algorithms;

namespace NanoLora;

// Cross entropy of rows of logits. A group owns a row and reads it once: each thread goes through its classes with a running maximum m and
//     Σ exp(x - m),   and where targets are smoothed   Σ w (m - x) and Σ w
// and where the maximum rises by r, the first shrinks by exp(-r), the second grows by r Σ w; so it is when the threads' maxima meet.
// Class numbers are checked on the host, from what was uploaded: a step does not wait for the device.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override int FirstOutside(Tensor ids, int size, int? except, out int id)
    {
        var all = HostInts(ids);
        for (var i = 0; i < all.Length; i++)
        {
            id = all[i];
            if ((uint)id >= (uint)size && id != except) return i;
        }
        id = 0;
        return -1;
    }

    /// <inheritdoc/>
    public override float TargetWeight(Tensor targets, Tensor? weight, int ignoreIndex)
    {
        var w = weight is null ? default : HostFloats(weight);
        var sum = 0.0;
        foreach (var t in HostInts(targets)) if (t != ignoreIndex) sum += weight is null ? 1 : w[t];
        return (float)sum;
    }

    // From the mirror, where it is whole; else from the device.
    private ReadOnlySpan<int> HostInts(Tensor x) => Mirrored(Ints(x)) is { IsEmpty: false } mirror ? mirror : x.ToInts();

    private ReadOnlySpan<float> HostFloats(Tensor x) =>
        Mirrored(Floats(x)) is { IsEmpty: false } mirror ? MemoryMarshal.Cast<int, float>(mirror) : x.ToArray();

    private ReadOnlySpan<int> Mirrored(Tensor x)
    {
        var mirror = StorageOf(x, writes: false).Mirror;
        return (long)x.Offset + x.Count <= mirror.Length ? mirror.Slice(x.Offset, x.Count) : default;
    }

    /// <inheritdoc/>
    public override void CrossEntropy(Tensor x, Tensor targets, Tensor? weight, Tensor losses, Tensor statistics, CrossEntropyKind kind)
    {
        if (x.Count == 0) return;
        using var sum = SumOf(weight, x);
        _launch.Run(CrossEntropyKernel, _launch.Rows(x.Rows), In(x), InInts(targets), In(weight, x), In(sum, x), Out(losses), Out(statistics), x.Cols,
            weight is null ? 0 : 1, kind);
    }

    /// <inheritdoc/>
    public override void CrossEntropyBackward(Tensor x, Tensor targets, Tensor? weight, Tensor statistics, Tensor dy, Tensor dx, CrossEntropyKind kind)
    {
        if (x.Count == 0) return;
        using var sum = SumOf(weight, x);
        _launch.Run(CrossEntropyBackwardKernel, _launch.Rows(x.Rows), In(x), InInts(targets), In(weight, x), In(sum, x), In(statistics), In(dy), Out(dx),
            x.Cols, weight is null ? 0 : 1, dy.Count == 1 ? 0 : 1, kind);
    }

    // Σ w, one number.
    private Tensor? SumOf(Tensor? weight, Tensor beside)
    {
        if (weight is null) return null;
        var sum = beside.Workspace.Loose(new Shape(1));
        SumMiddle(weight, sum, 1, weight.Count);
        return sum;
    }

    /// <summary>A group owns a row; its threads stride over the classes.</summary>
    public static void CrossEntropyKernel(ArrayView<float> x, ArrayView<int> targets, ArrayView<float> w, ArrayView<float> sumOfW,
        ArrayView<float> losses, ArrayView<float> statistics, int classes, int hasWeight, CrossEntropyKind kind)
    {
        var row = Grid.IdxX * classes;
        float max = float.NegativeInfinity, sum = 0, distance = 0, weights = 0;
        for (var i = Group.IdxX; i < classes; i += Group.DimX)
        {
            var z = x[row + i];
            if (z > max)
            {
                if (sum > 0)                                                                // else the maximum so far is none
                {
                    sum *= XMath.Exp(max - z);
                    distance += weights * (z - max);
                }
                max = z;
            }
            var below = z - (max == float.NegativeInfinity ? 0 : max);
            sum += XMath.Exp(below);
            if (kind.Smoothing == 0) continue;
            var share = hasWeight == 1 ? w[i] : 1;
            distance -= share * below;
            weights += share;
        }
        var own = max;
        max = Tree.Max(max);
        if (own != float.NegativeInfinity)
        {
            sum *= XMath.Exp(own - max);
            distance += weights * (max - own);
        }
        sum = Tree.Sum(sum);
        if (kind.Smoothing != 0) distance = Tree.Sum(distance);
        if (Group.IdxX > 0) return;
        var log = XMath.Log(sum);
        var t = targets[Grid.IdxX];
        var loss = 0f;
        if (t != kind.IgnoreIndex)
        {
            loss = (max - x[row + t] + log) * (hasWeight == 1 ? w[t] : 1);
            if (kind.Smoothing != 0) loss = (1 - kind.Smoothing) * loss + kind.Smoothing / classes * (distance + (hasWeight == 1 ? sumOfW[0] : classes) * log);
        }
        losses[Grid.IdxX] = kind.Factor * loss;
        statistics[2 * Grid.IdxX] = max;
        statistics[2 * Grid.IdxX + 1] = 1 / sum;
    }

    /// <summary>A group owns a row; its threads stride over the classes.</summary>
    public static void CrossEntropyBackwardKernel(ArrayView<float> x, ArrayView<int> targets, ArrayView<float> w, ArrayView<float> sumOfW,
        ArrayView<float> statistics, ArrayView<float> dy, ArrayView<float> dx, int classes, int hasWeight, int dyPerRow, CrossEntropyKind kind)
    {
        var row = Grid.IdxX * classes;
        var t = targets[Grid.IdxX];
        var counts = t != kind.IgnoreIndex;
        float g = 0, own = 0, scale = 0, share = kind.Smoothing / classes;
        if (counts)
        {
            g = kind.Factor * dy[Grid.IdxX * dyPerRow];
            own = g * (1 - kind.Smoothing) * (hasWeight == 1 ? w[t] : 1);
            scale = (own + g * share * (hasWeight == 1 ? sumOfW[0] : classes)) * statistics[2 * Grid.IdxX + 1];
        }
        var max = statistics[2 * Grid.IdxX];
        for (var i = Group.IdxX; i < classes; i += Group.DimX)
        {
            var d = 0f;
            if (counts) d = scale * XMath.Exp(x[row + i] - max) - g * share * (hasWeight == 1 ? w[i] : 1) - (i == t ? own : 0);
            dx[row + i] = d;
        }
    }
}
