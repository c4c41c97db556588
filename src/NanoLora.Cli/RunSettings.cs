using System.CommandLine;
using NanoLora.Experiments;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>Settings of a run that may be interrupted: what goes on must be what was begun.</summary>
internal static class RunSettings
{
    /// <summary>Refuses settings that are not those of the interrupted run.</summary>
    /// <param name="source">Where the old settings come from.</param>
    /// <param name="before">The old settings.</param>
    /// <param name="now">The new ones.</param>
    /// <exception cref="CommandException">Names the first setting that differs.</exception>
    public static void Match(string source, IReadOnlyList<Fact> before, IReadOnlyList<Fact> now)
    {
        foreach (var name in now.Concat(before).Select(f => f.Name).Distinct())
        {
            var (old, current) = (Find(before, name), Find(now, name));
            if (old == current) continue;
            throw new CommandException(
                $"{source}: {name}: the interrupted run has {Show(old)}, this one {Show(current)}; resume with the same settings, or choose another --out.");
        }

        static string? Find(IReadOnlyList<Fact> facts, string name) => facts.FirstOrDefault(f => f.Name == name)?.Value;
        static string Show(string? value) => value is null ? "none" : $"\"{value}\"";
    }
}

/// <summary>A training in a folder: its state lies there, with its settings, until what it was for is written.</summary>
internal sealed class ResumableTraining(Session session, string folder, IReadOnlyList<Fact> settings)
{
    private readonly string _state = Path.Combine(folder, TrainingState.FileName);

    /// <summary>The option that says how often.</summary>
    public static Option<int?> EveryOption() =>
        Inputs.OptionalWhole("--checkpoint-every", "Steps from one save of the state to the next; every 10 seconds if not given.");

    /// <summary>Whether a training was begun in a folder and has not ended.</summary>
    public static bool IsUnderWay(string folder) => File.Exists(Path.Combine(folder, TrainingState.FileName));

    /// <summary>Where to begin: the saved state, or null for the start.</summary>
    /// <exception cref="CommandException">There is a state that nobody asked to resume, or it belongs to other settings.</exception>
    public TrainingState? Begin(bool resume)
    {
        if (!IsUnderWay(folder))
        {
            if (resume) session.Note($"there is no state of a training in {folder}: it begins anew");
            return null;
        }
        if (!resume) throw new CommandException($"{_state} is the state of an interrupted training; add --resume to go on with it, or delete it.");
        var state = TrainingState.Load(_state);
        RunSettings.Match(_state, [.. state.Notes.Select(n => new Fact(n.Key, n.Value))], settings);
        return state;
    }

    /// <summary>Says where it goes on.</summary>
    public void Resumed(TrainingState? state, int steps)
    {
        if (state is not null) session.Note($"resumed after step {state.Step} of {steps}");
    }

    /// <summary>Keeps the state; one that cannot be written ends the training, and the last one stays.</summary>
    public void Save(TrainingState state)
    {
        try { state.Save(_state, settings.Select(s => KeyValuePair.Create(s.Name, s.Value))); }
        catch (CheckpointException error)
        {
            var kept = IsUnderWay(folder) ? $"the one before is kept, go on with: {session.CommandLine("--resume")}" : "none is kept.";
            throw new CommandException($"{error.Message} The training ends without the state after step {state.Step}; {kept}", error);
        }
    }

    /// <summary>Says where an interrupted training stands, and how to go on.</summary>
    public int Interrupted(TrainingState state, int steps)
    {
        Save(state);
        return session.Resumable($"interrupted after step {state.Step} of {steps}; the state is saved in {folder}");
    }

    /// <summary>Removes the state: what the training was for is written.</summary>
    public void End() => AtomicFile.Delete(_state);
}
