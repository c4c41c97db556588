using System.Globalization;

namespace NanoLora.Nn;

/// <summary>
/// Where a training stands between two steps: trained values, moments, the step, and what training it is. One that goes on from it ends with the bits of an
/// unbroken one; one that would not is refused.
/// </summary>
public sealed class TrainingState
{
    /// <summary>What the file is called in a folder of its own or in that of the result.</summary>
    public const string FileName = "training-state.safetensors";

    private const string Format = "nanolora-training-state-2", FormatBefore = "nanolora-training-state-1";
    private const string NoNumber = "it is missing or not a number.";
    private const string RunPrefix = "run.", NotePrefix = "note.";                     // in the file's metadata

    private sealed record Entry(string Path, float[] Value, float[] First, float[] Second);

    private readonly IReadOnlyList<Entry> _entries;
    private readonly IReadOnlyDictionary<string, string> _run;
    private readonly string _source;

    private TrainingState(IReadOnlyList<Entry> entries, int step, IReadOnlyDictionary<string, string> run, string source) =>
        (_entries, Step, _run, _source) = (entries, step, run, source);

    /// <summary>Steps done.</summary>
    public int Step { get; }

    /// <summary>The seed of the run.</summary>
    public ulong Seed => ulong.Parse(_run["seed"], CultureInfo.InvariantCulture);

    /// <summary>What was saved with it, by name.</summary>
    public IReadOnlyDictionary<string, string> Notes { get; private init; } = new Dictionary<string, string>();

    /// <summary>The state of a running training.</summary>
    internal static TrainingState Of(AdamW optimiser, int step, IReadOnlyList<KeyValuePair<string, string>> run)
    {
        var entries = new List<Entry>();
        for (var i = 0; i < optimiser.Parameters.Count; i++)
        {
            var (first, second) = optimiser.Moments(i);
            entries.Add(new Entry(optimiser.Parameters[i].Path, optimiser.Parameters[i].Parameter.Value.ToArray(), first.ToArray(), second.ToArray()));
        }
        return new TrainingState(entries, step, new Dictionary<string, string>(run), "the state");
    }

    /// <summary>Puts the values back, and gives the step to go on from.</summary>
    internal int Restore(AdamW optimiser, IReadOnlyList<KeyValuePair<string, string>> run)
    {
        foreach (var (name, now) in run)
        {
            if (_run.GetValueOrDefault(name) is var before && before != now)
                throw new CheckpointException(_source, name,
                    $"the training that was interrupted has {before ?? "none"}, this one {now}; go on with the same, or begin anew without the state.");
        }
        var count = optimiser.Parameters.Count;
        if (count != _entries.Count)
            throw new CheckpointException(_source, "tensors", $"it holds {_entries.Count} trained parameters, the model trains {count}.");
        for (var i = 0; i < _entries.Count; i++)
        {
            var (entry, trained) = (_entries[i], optimiser.Parameters[i]);
            if (entry.Path != trained.Path || entry.Value.Length != trained.Parameter.Value.Count)
                throw new CheckpointException(_source, entry.Path,
                    $"it holds {entry.Path} of {entry.Value.Length} values where the model trains {trained.Path} {trained.Parameter.Shape}.");
        }
        for (var i = 0; i < _entries.Count; i++)
        {
            var backend = optimiser.Parameters[i].Parameter.Value.Backend;
            var (first, second) = optimiser.Moments(i);
            backend.Upload<float>(_entries[i].Value, optimiser.Parameters[i].Parameter);
            backend.Upload<float>(_entries[i].First, first);
            backend.Upload<float>(_entries[i].Second, second);
        }
        optimiser.Steps = Step;
        return Step;
    }

    /// <summary>Writes the state to a safetensors file; a kill or a full disk leaves the one that was there.</summary>
    /// <param name="path">The file.</param>
    /// <param name="notes">What else to find again, such as the settings of a program.</param>
    /// <exception cref="CheckpointException">It cannot be written.</exception>
    public void Save(string path, IEnumerable<KeyValuePair<string, string>>? notes = null)
    {
        var metadata = new Dictionary<string, string> { ["format"] = Format, ["step"] = Step.ToString(CultureInfo.InvariantCulture) };
        foreach (var (name, value) in _run) metadata[RunPrefix + name] = value;
        foreach (var (name, value) in notes ?? []) metadata[NotePrefix + name] = value;
        var tensors = new List<TensorSource>();
        for (var n = 0; n < _entries.Count; n++)
        {
            metadata[$"path.{n}"] = _entries[n].Path;
            Add($"{n}.value", _entries[n].Value);
            Add($"{n}.first", _entries[n].First);
            Add($"{n}.second", _entries[n].Second);
        }
        SafetensorsWriter.Write(path, tensors, metadata);

        void Add(string name, float[] values) => tensors.Add(new TensorSource(name, [values.Length], values));
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="CheckpointException">Another format, or damaged.</exception>
    public static TrainingState Load(string path)
    {
        using var file = Checkpoint.Open(path);
        var format = file.Metadata.GetValueOrDefault("format");
        if (format == FormatBefore)
            throw Wrong("format", "an earlier version of this program wrote this state; go on with that one, or delete the file and begin anew.");
        if (format != Format) throw Wrong("format", "this is not the state of a training.");
        if (!int.TryParse(file.Metadata.GetValueOrDefault("step"), NumberStyles.None, CultureInfo.InvariantCulture, out var step))
            throw Wrong("step", NoNumber);
        var run = Under(RunPrefix);
        if (!ulong.TryParse(run.GetValueOrDefault("seed"), NumberStyles.None, CultureInfo.InvariantCulture, out _)) throw Wrong("seed", NoNumber);
        var entries = new List<Entry>();
        for (var n = 0; file.Metadata.TryGetValue($"path.{n}", out var name); n++)
            entries.Add(new Entry(name, Read($"{n}.value"), Read($"{n}.first"), Read($"{n}.second")));
        return new TrainingState(entries, step, run, path) { Notes = Under(NotePrefix) };

        CheckpointException Wrong(string field, string why) => new(path, field, why);

        Dictionary<string, string> Under(string prefix) =>
            file.Metadata.Where(m => m.Key.StartsWith(prefix, StringComparison.Ordinal)).ToDictionary(m => m.Key[prefix.Length..], m => m.Value);

        float[] Read(string name)
        {
            var entry = file[name];
            var values = new float[entry.Count];
            file.CopyTo(entry, values);
            return values;
        }
    }
}
