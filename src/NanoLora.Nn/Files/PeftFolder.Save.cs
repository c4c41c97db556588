using System.Text;
using System.Text.Json;

namespace NanoLora.Nn;

public static partial class PeftFolder
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true, NewLine = "\n" };

    /// <summary>
    /// Writes a LoRA module as an adapter folder that PEFT loads: ranks and alphas of its updates, its head in modules_to_save. A DoRA stays one; a PiSSA
    /// becomes the plain LoRA of twice the rank that it is for the whole base, as PEFT converts it.
    /// </summary>
    /// <param name="folder">A new folder, an empty one, or an adapter folder or one with a training's state; config and weights are replaced, what else lies in
    /// it stays.</param>
    /// <param name="module">The module.</param>
    /// <param name="model">The model it belongs to, which gives the names.</param>
    /// <exception cref="CheckpointException">The folder is there and no adapter, or cannot be written; then all stays as it was.</exception>
    /// <exception cref="ArgumentException">The module does not fit the model, or mixes scales, dropouts, or DoRA and others, which one config cannot say.
    /// </exception>
    public static void Save(string folder, LoraModule module, Model model)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(model);
        if (module.Updates.Count == 0) throw new ArgumentException($"PeftFolder.Save: the module {module.Name} has no updates.");
        var (first, updates) = (module.Updates.Values.First(), new List<Update>(module.Updates.Count));
        foreach (var (path, lora) in module.Updates)
        {
            if (lora.RankStabilised != first.RankStabilised || lora.Dropout != first.Dropout || lora is Dora != first is Dora)
                throw new ArgumentException($"PeftFolder.Save: the updates of {module.Name} differ in use_rslora, lora_dropout or use_dora, "
                    + "of which a config has one; save them as two modules.");
            if (lora is Pissa pissa) using (var plain = pissa.AsLora()) updates.Add(Described(model, path, plain));
            else updates.Add(Described(model, path, lora));
        }
        Write(folder, updates, first.RankStabilised, first.Dropout, module.Head, model);
    }

    /// <summary>Writes exact updates, such as those of a composition, as an adapter folder that PEFT loads: scale 1, each alpha its rank.</summary>
    /// <param name="folder">A new folder, an empty one, or an adapter folder or one with a training's state; config and weights are replaced, what else lies in
    /// it stays.</param>
    /// <param name="updates">The update of each linear, by path, over the linear's full output.</param>
    /// <param name="head">The head, or null.</param>
    /// <param name="model">The model they belong to, which gives the names.</param>
    /// <exception cref="CheckpointException">The folder is there and no adapter, or cannot be written; then all stays as it was.</exception>
    /// <exception cref="ArgumentException">An update does not fit the model.</exception>
    public static void Save(string folder, IReadOnlyDictionary<string, Factors> updates, HeadWeights? head, Model model)
    {
        ArgumentNullException.ThrowIfNull(updates);
        ArgumentNullException.ThrowIfNull(model);
        if (updates.Count == 0) throw new ArgumentException("PeftFolder.Save: there are no updates.");
        Write(folder, [.. updates.Select(u => Described(model, u.Key, u.Value.A, u.Value.B, u.Value.Rank, u.Value.Rank, 0) with { Bias = u.Value.Bias })],
            rankStabilised: false, dropout: 0, head, model);
    }

    private static Update Described(Model model, string path, Lora lora) =>
        Described(model, path, lora.A.Value.ToArray(), lora.B.Value.ToArray(), lora.Rank, lora.Alpha, lora.Column) with
        {
            Bias = lora.Bias?.Value.ToArray(),
            Magnitude = (lora as Dora)?.Magnitude.Value.ToArray(),
        };

    // Under the file's name, with B over all of the linear's outputs: the format has no slices.
    private static Update Described(Model model, string path, float[] a, float[] b, int rank, float alpha, int column)
    {
        var host = model.LinearAt(path);
        var name = model.Names.Theirs(path).FirstOrDefault()
            ?? throw new ArgumentException($"PeftFolder.Save: the checkpoint of {model.Source} has no name for {path}.");
        if (rank == 0 || a.Length != rank * host.In || b.Length % rank != 0 || column * rank + b.Length > host.Out * rank)
            throw new ArgumentException($"PeftFolder.Save: A [{rank}, {a.Length / Math.Max(rank, 1)}] and B [{b.Length / Math.Max(rank, 1)}, {rank}] "
                + $"do not fit {path} {host.Weight.Shape}.");
        if (b.Length == host.Out * rank) return new Update(name, a, b, rank, alpha, host.In, host.Out);
        var full = new float[host.Out * rank];
        b.CopyTo(full, column * rank);
        return new Update(name, a, full, rank, alpha, host.In, host.Out);
    }

    private static void Write(string folder, List<Update> updates, bool rankStabilised, float dropout, HeadWeights? head, Model model)
    {
        // The names of what is replaced as a whole: the head's, then that of the pooler below it.
        string[] saved = head is null ? [] : head.Pooler is null ? [NameOf(HeadPath)] : [NameOf(HeadPath), NameOf(PoolerPath)];
        var tensors = new List<TensorSource>(4 * updates.Count + 4);
        var biased = updates.Any(static u => u.Bias is not null);
        foreach (var update in updates)
        {
            tensors.Add(new($"{Prefix}{update.Module}.lora_A.weight", [update.Rank, update.In], update.A));
            tensors.Add(new($"{Prefix}{update.Module}.lora_B.weight", [update.Out, update.Rank], update.B));
            if (biased) tensors.Add(new($"{Prefix}{update.Module}.lora_B.bias", [update.Out], update.Bias ?? new float[update.Out]));
            if (update.Magnitude is { } magnitude) tensors.Add(new($"{Prefix}{update.Module}.lora_magnitude_vector", [update.Out], magnitude));
        }
        var metadata = new Dictionary<string, string> { ["format"] = "pt" };
        if (head is not null)
        {
            var classes = head.Bias.Length;
            if (classes == 0 || head.Weight.Length % classes != 0)
                throw new ArgumentException($"PeftFolder.Save: the head has {head.Weight.Length} weights for {classes} classes.");
            tensors.Add(new($"{Prefix}{saved[0]}.weight", [classes, head.Weight.Length / classes], head.Weight));
            // A head without a bias has one of zeros here; a model whose own head has none knows no such tensor.
            if (head.Bias.Any(b => b != 0) || HeadOf(model) is null or { Bias: not null }) tensors.Add(new($"{Prefix}{saved[0]}.bias", [classes], head.Bias));
            if (head.Pooler is { } pooler)
            {
                tensors.Add(new($"{Prefix}{saved[1]}.weight", [pooler.Bias.Length, pooler.Weight.Length / pooler.Bias.Length], pooler.Weight));
                tensors.Add(new($"{Prefix}{saved[1]}.bias", [pooler.Bias.Length], pooler.Bias));
            }
            if (head.Labels.Count > 0) metadata[LabelsKey] = Json(json => Texts(json, head.Labels));
        }
        var config = Config(updates, rankStabilised, dropout, saved, model);
        Replace(folder, SafetensorsWriter.Content(Path.Combine(folder, Weights), tensors, metadata), stream => stream.Write(Encoding.UTF8.GetBytes(config)));

        string NameOf(string path) => model.Names.Theirs(path).FirstOrDefault()
            ?? throw new ArgumentException($"PeftFolder.Save: the checkpoint of {model.Source} has no name for a {path}.");
    }

    private static string Config(List<Update> updates, bool rankStabilised, float dropout, string[] saved, Model model)
    {
        var names = updates.Select(u => u.Module).Order(StringComparer.Ordinal).ToArray();
        var (rank, alpha) = (MostFrequent(updates.Select(u => u.Rank)), MostFrequent(updates.Select(u => u.Alpha)));
        // A list of targets takes whole endings too: what ends in a target's name without being one is kept out by its full name.
        var others = model.Linears().Select(l => model.Names.Theirs(l.Key).FirstOrDefault()).OfType<string>()
            .Where(n => !names.Contains(n) && !saved.Contains(n) && EndsInOne(n, names)).Order(StringComparer.Ordinal).ToArray();
        return Json(json =>
        {
            json.WriteStartObject();
            Patterns(json, "alpha_pattern", updates, names, u => u.Alpha != alpha, u => json.WriteNumberValue(u.Alpha));
            json.WriteString("base_model_name_or_path", model.Title);
            json.WriteString("bias", "none");
            json.WritePropertyName("exclude_modules");
            if (others.Length == 0) json.WriteNullValue();
            else Texts(json, others);
            json.WriteBoolean("fan_in_fan_out", false);
            json.WriteBoolean("inference_mode", true);
            json.WriteBoolean("init_lora_weights", true);
            json.WriteNumber("lora_alpha", alpha);
            if (updates.Any(static u => u.Bias is not null)) json.WriteBoolean("lora_bias", true);                     // older versions do not know it
            json.WriteNumber("lora_dropout", dropout);
            json.WritePropertyName("modules_to_save");
            if (saved.Length == 0) json.WriteNullValue();
            else Texts(json, saved);
            json.WriteString("peft_type", "LORA");
            json.WriteNumber("r", rank);
            Patterns(json, "rank_pattern", updates, names, u => u.Rank != rank, u => json.WriteNumberValue(u.Rank));
            json.WritePropertyName("target_modules");
            Texts(json, names);
            json.WriteNull("task_type");
            json.WriteBoolean("use_dora", updates[0].Magnitude is not null);
            json.WriteBoolean("use_rslora", rankStabilised);
            json.WriteEndObject();
        });
    }

    // A pattern is a full name, and also fits longer names that end in it: those get an entry of their own, and the longest stand first, for the first that
    // fits counts.
    private static void Patterns(Utf8JsonWriter json, string field, List<Update> updates, string[] names, Func<Update, bool> differs, Action<Update> write)
    {
        json.WriteStartObject(field);
        if (updates.Any(differs))
        {
            foreach (var update in updates.Where(u => differs(u) || EndsInOne(u.Module, names)).OrderByDescending(u => u.Module.Length)
                .ThenBy(u => u.Module, StringComparer.Ordinal))
            {
                json.WritePropertyName(update.Module);
                write(update);
            }
        }
        json.WriteEndObject();
    }

    private static Linear? HeadOf(Model model) => model.Linears().FirstOrDefault(l => l.Key == HeadPath).Value;

    private static bool EndsInOne(string name, string[] names) => names.Any(n => name.Length > n.Length && name.EndsWith('.' + n, StringComparison.Ordinal));

    private static T MostFrequent<T>(IEnumerable<T> values) where T : IComparable<T> =>
        values.GroupBy(v => v).OrderByDescending(g => g.Count()).ThenBy(g => g.Key).First().Key;

    private static string Json(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Indented)) write(json);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Texts(Utf8JsonWriter json, IEnumerable<string> texts)
    {
        json.WriteStartArray();
        foreach (var text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }

    // The config comes last, and makes the folder an adapter: nobody sees one's config beside another's weights.
    private static void Replace(string folder, Action<Stream> weights, Action<Stream> config)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var parent = Path.GetDirectoryName(full) ?? throw new CheckpointException(folder, "folder", "is the root of a disk; name a folder in it.");
        if (File.Exists(full)) throw new CheckpointException(folder, "folder", "is a file; name a folder.");
        var old = Directory.Exists(full);
        if (old && !IsOurs(full))
            throw new CheckpointException(folder, "folder",
                $"is there and holds no {PeftConfig.FileName}; only an adapter folder is replaced. Name another one.");
        if (!Directory.Exists(parent)) throw new CheckpointException(folder, "folder", $"{parent} does not exist; create it first.");
        try
        {
            Directory.CreateDirectory(full);
            AtomicFile.WriteTogether(folder, (Weights, weights), (PeftConfig.FileName, config));
            File.Delete(Path.Combine(full, OldWeights));                        // nobody reads it beside the others
        }
        catch (Exception e)
        {
            if (!old && Directory.Exists(full) && !Directory.EnumerateFileSystemEntries(full).Any()) Directory.Delete(full);
            if (e is UnauthorizedAccessException || (e is IOException and not CheckpointException))
                throw new CheckpointException(folder, "folder",
                    $"it cannot be written: {e.Message} Check the rights of its parent and the space on the disk.", e);
            throw;
        }
    }

    // An adapter, one that is being trained, or what a killed process has left of one.
    private static bool IsOurs(string folder) =>
        IsAdapter(folder) || File.Exists(Path.Combine(folder, Weights)) || File.Exists(Path.Combine(folder, TrainingState.FileName))
        || Directory.EnumerateFileSystemEntries(folder).All(static path => Path.GetFileName(path) is ['.', .., '.', 't', 'm', 'p']);
}
