using ILGPU;

namespace NanoLora;

// What the threads of a group find out together. Sums are trees of fixed shape, so that a run gives the same bits as the one before; the order depends on the
// size of the group alone. No float atomics: they add in the order in which threads happen to come.
//
//     thread      0   1   2   3   4   5   6   7
//     half = 4    0+4 1+5 2+6 3+7
//     half = 2    …+2 …+3
//     half = 1    …+1                            every thread reads the result from place 0

/// <summary>Reductions within a group, by shared memory. The group has a power of two of threads, <see cref="Most"/> at most, and all of them call.</summary>
public static class Tree
{
    /// <summary>The most threads of a group.</summary>
    public const int Most = 256;

    /// <summary>Σ of the threads' values.</summary>
    public static float Sum(float value)
    {
        var shared = SharedMemory.Allocate<float>(Most);
        var t = Group.IdxX;
        shared[t] = value;
        Group.Barrier();
        for (var half = Group.DimX / 2; half > 0; half /= 2)
        {
            if (t < half) shared[t] += shared[t + half];
            Group.Barrier();
        }
        var sum = shared[0];
        Group.Barrier();                                                               // the next call writes to the same places
        return sum;
    }

    /// <summary>The largest of the threads' values.</summary>
    public static float Max(float value)
    {
        var shared = SharedMemory.Allocate<float>(Most);
        var t = Group.IdxX;
        shared[t] = value;
        Group.Barrier();
        for (var half = Group.DimX / 2; half > 0; half /= 2)
        {
            if (t < half && shared[t + half] > shared[t]) shared[t] = shared[t + half];
            Group.Barrier();
        }
        var max = shared[0];
        Group.Barrier();
        return max;
    }
}
