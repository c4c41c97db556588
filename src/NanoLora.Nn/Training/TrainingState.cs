using System.Globalization;

namespace NanoLora.Nn;

/// <summary>Where a training stands: trained values, moments, step and seed. A training that goes on from it ends with the bits of an unbroken one.</summary>
public sealed class TrainingState
{
    private sealed record Entry(string Path, float[] Value, float[] First, float[] Second);

    private readonly IReadOnlyList<Entry> _entries;
    private readonly string _source;

    private TrainingState(IReadOnlyList<Entry> entries, int step, ulong seed, string source) => (_entries, Step, Seed, _source) = (entries, step, seed, source);

    /// <summary>Steps done.</summary>
    public int Step { get; }

    /// <summary>The seed of the run.</summary>
    public ulong Seed { get; }

    /// <summary>The state of a running training.</summary>
    internal static TrainingState Of(AdamW optimiser, int step, ulong seed)
    {
        var entries = new List<Entry>();
        for (var i = 0; i < optimiser.Parameters.Count; i++)
        {
            var (first, second) = optimiser.Moments(i);
            entries.Add(new Entry(optimiser.Parameters[i].Path, optimiser.Parameters[i].Parameter.Value.ToArray(), first.ToArray(), second.ToArray()));
        }
        return new TrainingState(entries, step, seed, "the state");
    }

    /// <summary>Puts the values back, and gives the step to go on from.</summary>
    internal int Restore(AdamW optimiser, ulong seed)
    {
        if (seed != Seed) throw new CheckpointException(_source, "seed", $"it was made with seed {Seed}, the training has seed {seed}.");
        if (optimiser.Parameters.Count != _entries.Count) throw new CheckpointException(_source, "tensors", $"it holds {_entries.Count} trained parameters, the model trains {optimiser.Parameters.Count}.");
        for (var i = 0; i < _entries.Count; i++)
        {
            var (entry, trained) = (_entries[i], optimiser.Parameters[i]);
            if (entry.Path != trained.Path || entry.Value.Length != trained.Parameter.Value.Count)
                throw new CheckpointException(_source, entry.Path, $"it holds {entry.Path} of {entry.Value.Length} values where the model trains {trained.Path} {trained.Parameter.Shape}.");
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

    /// <summary>Writes the state to a safetensors file.</summary>
    public void Save(string path)
    {
        var tensors = new List<TensorSource>();
        foreach (var (entry, n) in _entries.Select((e, n) => (e, n)))
        {
            Add($"{n}.value", entry.Value);
            Add($"{n}.first", entry.First);
            Add($"{n}.second", entry.Second);
        }
        var metadata = new Dictionary<string, string>
        {
            ["format"] = "nanolora-training-state-1",
            ["step"] = Step.ToString(CultureInfo.InvariantCulture),
            ["seed"] = Seed.ToString(CultureInfo.InvariantCulture),
        };
        for (var n = 0; n < _entries.Count; n++) metadata[$"path.{n}"] = _entries[n].Path;
        SafetensorsWriter.Write(path, tensors, metadata);

        void Add(string name, float[] values) => tensors.Add(new TensorSource(name, [values.Length], values));
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="CheckpointException">Another format, or damaged.</exception>
    public static TrainingState Load(string path)
    {
        using var file = Checkpoint.Open(path);
        if (file.Metadata.GetValueOrDefault("format") != "nanolora-training-state-1") throw new CheckpointException(path, "format", "this is not a training state; it is written when a training is interrupted.");
        if (!int.TryParse(file.Metadata.GetValueOrDefault("step"), NumberStyles.None, CultureInfo.InvariantCulture, out var step)) throw new CheckpointException(path, "step", "it is missing or not a number.");
        if (!ulong.TryParse(file.Metadata.GetValueOrDefault("seed"), NumberStyles.None, CultureInfo.InvariantCulture, out var seed)) throw new CheckpointException(path, "seed", "it is missing or not a number.");
        var entries = new List<Entry>();
        for (var n = 0; file.Metadata.TryGetValue($"path.{n}", out var name); n++) entries.Add(new Entry(name, Read($"{n}.value"), Read($"{n}.first"), Read($"{n}.second")));
        return new TrainingState(entries, step, seed, path);

        float[] Read(string name)
        {
            var entry = file[name];
            var values = new float[entry.Count];
            file.CopyTo(entry, values);
            return values;
        }
    }
}
