using System.Buffers.Binary;
using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// What a base and its modules have seen, as hashes: a safetensors file with the U8 tensors <c>pretraining</c> and <c>upstream</c> [n, 8], the first
/// 8 bytes of the hash of each sample's content (<see cref="LabelledSet.ContentHash"/>), ascending. A task can be held against it without the samples.
/// </summary>
public static class PoolHashes
{
    private const string Format = "nanolora.pools.1";
    private const int Bytes = 8;

    /// <summary>Writes the hashes of all training and test samples.</summary>
    /// <param name="path">The file.</param>
    /// <param name="pretraining">The tasks that train the base.</param>
    /// <param name="upstream">The tasks that train modules.</param>
    /// <exception cref="CheckpointException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<LabelledTask> pretraining, IEnumerable<LabelledTask> upstream) => SafetensorsWriter.Write(
        path, [Tensor("pretraining", pretraining), Tensor("upstream", upstream)], new Dictionary<string, string> { ["format"] = Format });

    /// <summary>Checks that no sample of a task, for training or test, is in the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="task">The held-out task.</param>
    /// <param name="upstreamToo">Whether the upstream samples count; not where the task trains a module of its own.</param>
    /// <returns>How many samples were compared with how many of each pool.</returns>
    /// <exception cref="InvalidDataException">A sample of the task is in a pool; the message counts them and names the first.</exception>
    /// <exception cref="CheckpointException">The file is missing, damaged, or no such file.</exception>
    public static (int Samples, int Pretraining, int Upstream) Check(string path, LabelledTask task, bool upstreamToo = true)
    {
        var (pretraining, upstream) = Read(path, upstreamToo);
        int found = 0, samples = 0;
        var first = "";
        foreach (var inTest in (ReadOnlySpan<bool>)[false, true])
        {
            var set = inTest ? task.Test : task.Train;
            samples += set.Count;
            for (var i = 0; i < set.Count; i++)
            {
                var hash = Hash(set, i);
                var pool = Array.BinarySearch(pretraining, hash) >= 0 ? "pretraining" : Array.BinarySearch(upstream, hash) >= 0 ? "upstream" : null;
                if (pool is null) continue;
                if (found++ == 0) first = $"{new SampleId(task, inTest, i)} is among the {pool} {set.Noun}s";
            }
        }
        if (found == 0) return (samples, pretraining.Length, upstream.Length);
        throw new InvalidDataException($"{path}: {first}; {task.Train.Noun}s of this kind: {found}. What was seen before measures nothing: take it out.");
    }

    /// <summary>The task without the samples that are in the file.</summary>
    public static TTask Without<TTask>(string path, TTask task, bool upstreamToo = true) where TTask : LabelledTask
    {
        var (pretraining, upstream) = Read(path, upstreamToo);
        return (TTask)task.Where((inTest, i) => Unseen(Hash(inTest ? task.Test : task.Train, i)));

        bool Unseen(ulong hash) => Array.BinarySearch(pretraining, hash) < 0 && Array.BinarySearch(upstream, hash) < 0;
    }

    private static (ulong[] Pretraining, ulong[] Upstream) Read(string path, bool upstreamToo)
    {
        using var file = new SafetensorsFile(path);
        if (file.Metadata.GetValueOrDefault("format") != Format)
            throw new CheckpointException(path, "format", $"it is not {Format}; write the file again with PoolHashes.Write.");
        return (Read(file, "pretraining"), upstreamToo ? Read(file, "upstream") : []);
    }

    private static ulong Hash(LabelledSet set, int index) => (ulong)(set.ContentHash(index) >> 64);

    private static TensorSource Tensor(string name, IEnumerable<LabelledTask> tasks)
    {
        var hashes = new List<ulong>();
        foreach (var task in tasks)
        {
            for (var i = 0; i < task.Train.Count; i++) hashes.Add(Hash(task.Train, i));
            for (var i = 0; i < task.Test.Count; i++) hashes.Add(Hash(task.Test, i));
        }
        hashes.Sort();
        var bytes = new byte[Bytes * hashes.Count];
        for (var i = 0; i < hashes.Count; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(Bytes * i), hashes[i]);
        return new(name, FileDType.U8, [hashes.Count, Bytes], bytes);
    }

    private static ulong[] Read(SafetensorsFile file, string name)
    {
        var entry = file[name];
        if (entry.DType != FileDType.U8 || entry.Shape is not [_, Bytes]) throw new CheckpointException(file.Path, name, $"{entry} is not U8 [n, {Bytes}].");
        var bytes = file.Bytes(entry);
        var hashes = new ulong[entry.Shape[0]];
        for (var i = 0; i < hashes.Length; i++)
        {
            hashes[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes[(Bytes * i)..]);
            if (i > 0 && hashes[i] < hashes[i - 1])
                throw new CheckpointException(file.Path, name, $"row {i} is smaller than the one before; rows must ascend.");
        }
        return hashes;
    }
}
