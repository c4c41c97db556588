namespace NanoLora.Data;

/// <summary>
/// Several tasks learned at once: first a task is drawn by weight, then one of its images. The classes stand one after the other; with quarter turns, each
/// image also comes turned by 90 degrees to the left, as one of as many further classes.
/// </summary>
public sealed class ImageMixture
{
    private readonly int[] _firstClass;
    private readonly float[] _upTo;

    /// <summary>Makes a mixture.</summary>
    /// <param name="tasks">The tasks, with images of one size.</param>
    /// <param name="weights">How often each task is drawn; scaled to sum 1.</param>
    /// <param name="quarterTurns">Whether to double the classes by turned images; these must be square.</param>
    /// <exception cref="ArgumentException">The lists do not match, a weight is not positive, sizes differ, or images to turn are not square.</exception>
    public ImageMixture(IReadOnlyList<ImageTask> tasks, IReadOnlyList<float> weights, bool quarterTurns)
    {
        if (tasks.Count == 0 || tasks.Count != weights.Count)
            throw new ArgumentException($"ImageMixture: {tasks.Count} tasks, but {weights.Count} weights; both must be equal and at least 1.");
        (Tasks, QuarterTurns, Size) = (tasks, quarterTurns, tasks[0].Train.Size);
        if (quarterTurns && Size.Height != Size.Width) throw new ArgumentException($"ImageMixture: images of {Size} cannot be turned; pad them to a square.");
        _firstClass = new int[tasks.Count + 1];
        _upTo = new float[tasks.Count];
        double total = weights.Sum(w => (double)w), sum = 0;
        for (var t = 0; t < tasks.Count; t++)
        {
            if (!(weights[t] > 0)) throw new ArgumentException($"ImageMixture: {tasks[t].Name} has the weight {weights[t]}; it must be positive.");
            if (tasks[t].Train.Size != Size)
                throw new ArgumentException($"ImageMixture: {tasks[t].Name} has images of {tasks[t].Train.Size}, {tasks[0].Name} of {Size}; resize one.");
            if (tasks[t].Train.Count == 0) throw new ArgumentException($"ImageMixture: {tasks[t].Name} has no training image.");
            _firstClass[t + 1] = _firstClass[t] + tasks[t].Classes.Length;
            _upTo[t] = (float)((sum += weights[t]) / total);
        }
    }

    /// <summary>The tasks, in the order of their classes.</summary>
    public IReadOnlyList<ImageTask> Tasks { get; }

    /// <summary>Whether every image also comes turned, as a further class.</summary>
    public bool QuarterTurns { get; }

    /// <summary>The size of all images.</summary>
    public ImageSize Size { get; }

    /// <summary>The number of classes, turned ones included.</summary>
    public int ClassCount => _firstClass[^1] * (QuarterTurns ? 2 : 1);

    /// <summary>The names of all classes, "task/class", then the turned ones.</summary>
    public string[] ClassNames()
    {
        var names = Tasks.SelectMany(t => t.Classes.Select(c => $"{t.Name}/{c}")).ToArray();
        return QuarterTurns ? [.. names, .. names.Select(n => n + ", turned")] : names;
    }

    /// <summary>
    /// Draws training image <paramref name="index"/> of a stream, turns and augments it, and writes it as normalised floats. The same (seed, stream, index)
    /// gives the same image, whoever asks and in whichever order. Allocates nothing.
    /// </summary>
    /// <param name="random">Numbers for this use.</param>
    /// <param name="index">Which image of the stream it is, such as step x batch size + position.</param>
    /// <param name="augment">How far images are moved.</param>
    /// <param name="target">[channels, height, width].</param>
    /// <param name="normalisation">How pixels become floats.</param>
    /// <returns>The class of the image.</returns>
    public int Draw(in Philox random, ulong index, in Augment augment, Span<float> target, Normalisation normalisation)
    {
        // Numbers 8i to 8i + 3 choose; 8i + 4 to 8i + 7, the block of four with the number 2i + 1, move the image.
        var task = 0;
        for (var u = random.Uniform(8 * index); task < _upTo.Length - 1 && u >= _upTo[task];) task++;
        var set = Tasks[task].Train;
        var chosen = random.Below(8 * index + 1, set.Count);
        var turned = QuarterTurns && random.Below(8 * index + 2, 2) == 1;
        return Write(task, set, chosen, turned, random, 2 * index + 1, augment, target, normalisation);
    }

    /// <summary>The number of test images, turned ones included.</summary>
    public int TestCount => Tasks.Sum(t => t.Test.Count) * (QuarterTurns ? 2 : 1);

    /// <summary>Writes test image <paramref name="index"/>, as it is, as normalised floats; the turned ones follow after all others.</summary>
    /// <returns>The class of the image.</returns>
    public int Test(int index, Span<float> target, Normalisation normalisation)
    {
        if ((uint)index >= (uint)TestCount) throw new ArgumentException($"ImageMixture: there is no test image {index}; there are {TestCount}.");
        var plain = QuarterTurns ? TestCount / 2 : TestCount;
        var chosen = index % plain;
        var task = 0;
        for (; chosen >= Tasks[task].Test.Count; task++) chosen -= Tasks[task].Test.Count;
        return Write(task, Tasks[task].Test, chosen, index >= plain, new Philox(0, 0), 0, Augment.None, target, normalisation);
    }

    /// <summary>Mean and standard deviation over the training pixels, on the scale 0 to 1, each task by its weight. Turning changes neither.</summary>
    public (float Mean, float Deviation) Statistics()
    {
        double mean = 0, square = 0;
        for (var t = 0; t < Tasks.Count; t++)
        {
            var weight = _upTo[t] - (t == 0 ? 0 : _upTo[t - 1]);
            var (m, d) = Tasks[t].Train.Statistics();
            mean += weight * m;
            square += weight * ((double)m * m + (double)d * d);
        }
        return ((float)mean, (float)Math.Sqrt(Math.Max(square - mean * mean, 1e-9)));
    }

    private int Write(
        int task, ImageSet set, int chosen, bool turned, in Philox random, ulong index, in Augment augment, Span<float> target, Normalisation normalisation)
    {
        var label = _firstClass[task] + set.Labels[chosen];
        if (!turned)
        {
            augment.Apply(set.Image(chosen), Size, random, index, target, normalisation);
            return label;
        }
        Span<byte> image = Size.Length <= 4096 ? stackalloc byte[4096] : new byte[Size.Length];
        image = image[..Size.Length];
        QuarterTurn(set.Image(chosen), Size, image);
        augment.Apply(image, Size, random, index, target, normalisation);
        return label + _firstClass[^1];
    }

    /// <summary>A turn to the left: what was the right column is the top row.</summary>
    private static void QuarterTurn(ReadOnlySpan<byte> image, ImageSize size, Span<byte> turned)
    {
        var side = size.Height;
        for (var c = 0; c < size.Channels; c++)
        {
            var plane = c * side * side;
            for (var y = 0; y < side; y++)
            {
                for (var x = 0; x < side; x++) turned[plane + y * side + x] = image[plane + x * side + side - 1 - y];
            }
        }
    }
}
