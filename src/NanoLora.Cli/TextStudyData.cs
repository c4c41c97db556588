using NanoLora.Data;

namespace NanoLora.Cli;

/// <summary>The texts of the demo in their three pools: what the base learns from, the tasks of its modules, and the held-out task.</summary>
internal sealed record TextStudyData(IReadOnlyList<LabelledTextTask> Pretraining, IReadOnlyList<LabelledTextTask> Upstream, LabelledTextTask HeldOut)
{
    private const string Tasks = "clinc150-class/";

    /// <summary>
    /// Reads all sources: CLINC150 dealt by class, of which the first task is held out. What it shares with any other is left out of it.
    /// </summary>
    /// <exception cref="CommandException">There is no such folder, or no CLINC150 in it.</exception>
    public static TextStudyData Load(string dataFolder)
    {
        if (!Directory.Exists(dataFolder)) throw new CommandException($"{dataFolder} is not a folder; name the folder of raw text sets with --data.");
        var sources = new TextSources(dataFolder);
        LabelledTextTask[] tasks = [.. sources.Names.Where(static name => name.StartsWith(Tasks, StringComparison.Ordinal)).Select(sources.Read)];
        if (tasks.Length == 0) throw new CommandException($"{dataFolder} has no CLINC150 in it, which the tasks on texts are made of.");
        var seen = FreeTexts.Load(dataFolder, ClincTasks.AllTexts(dataFolder)).Select(Seen);
        var separate = Pools.Separate([.. tasks[1..], .. seen, tasks[0] with { Pool = Pool.HeldOut }]);
        Pools.Check(separate);
        var pools = separate.ToLookup(t => t.Pool);
        return new([.. pools[Pool.Pretraining]], [.. pools[Pool.Upstream]], pools[Pool.HeldOut].Single());
    }

    // All sentences of a set, and its documents whole.
    private static LabelledTextTask Seen(FreeText set)
    {
        string[] texts =
        [
            .. set.Documents.SelectMany(static d => d), .. set.Documents.Where(static d => d.Count > 1).Select(static d => string.Join(' ', d)),
            .. set.Paraphrases.SelectMany(static p => p),
        ];
        var all = new TextSet(set.Name, texts, new int[texts.Length], ["text"]) { Licence = set.Licence, Source = set.Source };
        return new(set.Name, all, all.Subset([]), Pool.Pretraining);
    }
}
