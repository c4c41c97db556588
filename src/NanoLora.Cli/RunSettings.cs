using System.Text;
using System.Text.Json;
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

    /// <summary>Writes settings as a JSON object of texts.</summary>
    public static void Save(string path, IReadOnlyList<Fact> settings)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            foreach (var fact in settings) json.WriteString(fact.Name, fact.Value);
            json.WriteEndObject();
        }
        AtomicFile.WriteText(path, Encoding.UTF8.GetString(buffer.ToArray()) + "\n");
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="CommandException">The file is missing or damaged.</exception>
    public static IReadOnlyList<Fact> Load(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            return [.. json.RootElement.EnumerateObject().Select(p => new Fact(p.Name, p.Value.GetString() ?? ""))];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path}: the settings of the interrupted run cannot be read: {error.Message}", error);
        }
    }
}

/// <summary>A training in a folder: its state and settings lie there until it is done.</summary>
internal sealed class ResumableTraining(string folder, IReadOnlyList<Fact> settings)
{
    private readonly string _state = Path.Combine(folder, "training-state.safetensors"), _settings = Path.Combine(folder, "training-state.json");

    /// <summary>Where to begin: the saved state, or null for the start.</summary>
    /// <exception cref="CommandException">There is a state that nobody asked to resume, or it belongs to other settings.</exception>
    public TrainingState? Begin(bool resume)
    {
        var there = File.Exists(_state);
        if (!resume && there) throw new CommandException($"{_state} is the state of an interrupted training; add --resume to go on with it, or delete it.");
        if (!resume || !there) return null;
        RunSettings.Match(_settings, RunSettings.Load(_settings), settings);
        return TrainingState.Load(_state);
    }

    /// <summary>Keeps the state. The settings come first: a state is never without them.</summary>
    public void Save(TrainingState state)
    {
        RunSettings.Save(_settings, settings);
        state.Save(_state);
    }

    /// <summary>Removes the state: the training is done.</summary>
    public void End()
    {
        File.Delete(_state);
        File.Delete(_settings);
    }
}
