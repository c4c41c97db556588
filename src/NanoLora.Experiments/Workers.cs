namespace NanoLora.Experiments;

/// <summary>Who does the cells of a study side by side, each on a backend of its own.</summary>
/// <param name="Count">How many.</param>
/// <param name="Open">Makes a backend for one of them.</param>
public sealed record Workers(int Count, Func<Backend> Open)
{
    /// <summary>A core of the processor each: as many as there are, or as asked for.</summary>
    public static Workers Cores(int count = 0) => new(count > 0 ? count : Environment.ProcessorCount, static () => new CpuBackend(threads: 1));
}
