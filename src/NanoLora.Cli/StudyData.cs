using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>The study's raw images in their three pools, which share no image.</summary>
internal sealed record StudyData(IReadOnlyList<ImageTask> Pretraining, IReadOnlyList<ImageTask> Upstream, ImageTask HeldOut)
{
    /// <summary>Reads all sources. An image that two pools would have stays with the held-out task first, then upstream.</summary>
    /// <exception cref="CommandException">There is no such folder.</exception>
    public static StudyData Load(string dataFolder)
    {
        if (!Directory.Exists(dataFolder)) throw new CommandException($"{dataFolder} is not a folder; name the folder of raw image sets with --data.");
        var sources = Sources.Load(dataFolder);
        var tasks = Pools.Separate([.. sources.Tasks.OrderByDescending(t => t.Pool), .. sources.Pretraining]);
        Pools.Check(tasks);
        var pools = tasks.ToLookup(t => t.Pool);
        return new([.. pools[Pool.Pretraining]], [.. pools[Pool.Upstream]], pools[Pool.HeldOut].Single());
    }

    /// <summary>The pretraining images as they are drawn.</summary>
    public ImageMixture Mixture() => new(Pretraining, Sources.PretrainingWeights, quarterTurns: true);
}
