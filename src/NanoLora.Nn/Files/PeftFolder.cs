namespace NanoLora.Nn;

/// <summary>
/// Folders of the PEFT library: adapter_config.json beside adapter_model.safetensors (or .bin). Reading checks every tensor against config and model
/// before anything is built; writing gives a folder that PEFT loads.
/// </summary>
public static partial class PeftFolder
{
    private const string Weights = "adapter_model.safetensors", OldWeights = "adapter_model.bin";
    private const string Prefix = "base_model.model.";
    private const string HeadPath = "head";                        // where a model has the linear that gives its outputs
    private const string PoolerPath = "pooler";                    // and the linear below it that files count as a part of it
    private const string PatchPath = "patch";                      // where an image model has its patch embedding
    private const string LabelsKey = "labels";                     // metadata of the weights: the classes of the head, a JSON list

    /// <summary>Reads the LoRA module of every adapter folder within a folder, in the ordinal order of their names.</summary>
    /// <param name="folder">A folder of adapter folders; others in it are passed over.</param>
    /// <param name="model">The model they belong to.</param>
    /// <exception cref="CheckpointException">There is none, or one cannot be read; then none is kept.</exception>
    public static IReadOnlyList<LoraModule> LoadAll(string folder, Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!Directory.Exists(folder)) throw new CheckpointException(folder, "folder", "there is no such folder; check the path.");
        var folders = Directory.GetDirectories(folder).Where(f => !Path.GetFileName(f).StartsWith('.') && (IsAdapter(f) || WeightsIn(f) is not null))
            .OrderBy(f => Path.GetFileName(f), StringComparer.Ordinal).ToArray();
        if (folders.Length == 0)
            throw new CheckpointException(folder, "folder",
                IsAdapter(folder) ? "this is one adapter, not a folder of them; read it with Load." : $"no folder in it holds an {PeftConfig.FileName}.");
        var modules = new List<LoraModule>(folders.Length);
        try
        {
            foreach (var one in folders) modules.Add(Load(one, model));
            return modules;
        }
        catch
        {
            foreach (var module in modules) module.Dispose();
            throw;
        }
    }

    /// <summary>Reads one adapter folder. Names of each generation that the model knows lead to the same linears.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="model">The model it belongs to.</param>
    /// <exception cref="CheckpointException">It does not fit the model, is damaged, or asks for something that is not supported: file and field are
    /// named.</exception>
    public static LoraModule Load(string folder, Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!Directory.Exists(folder)) throw new CheckpointException(folder, "folder", "there is no such folder; check the path.");
        var config = PeftConfig.Read(Path.Combine(folder, PeftConfig.FileName));
        using var file = Checkpoint.Open(WeightsIn(folder)
            ?? throw new CheckpointException(folder, Weights, $"is missing, and {OldWeights} too; the folder holds no weights."));
        var (factors, head) = new PeftReader(config, file, model).Read();
        var updates = new Dictionary<string, Lora>(factors.Count, StringComparer.Ordinal);
        try
        {
            foreach (var (path, read) in factors) updates.Add(path, New(config, read, model, path));
        }
        catch
        {
            foreach (var update in updates.Values) update.Dispose();
            throw;
        }
        return new LoraModule(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))), updates, head)
        {
            Folder = Path.GetFullPath(folder)
        };
    }

    private static Lora New(PeftConfig config, Update read, Model model, string path)
    {
        var (rank, alpha, stabilised, dropout) = (read.Rank, read.Alpha, config.RankStabilised, config.Dropout);
        if (read.Magnitude is { } magnitude) return Attach.NewDora(model.Backend, read.A, read.B, magnitude, rank, alpha, stabilised, dropout);
        if (config.Pissa)
        {
            try { return Attach.NewPissa(model.LinearAt(path), rank, alpha, stabilised, dropout, 0, read.Out, (read.A, read.B)); }
            catch (ArgumentException e) { throw config.Error("init_lora_weights", $"\"pissa\" cannot be repeated for {read.Module}: {e.Message}"); }
        }
        using var a = model.Backend.Main.From(read.A, new Shape(rank, read.In));
        using var b = model.Backend.Main.From(read.B, new Shape(read.Out, rank));
        using var bias = read.Bias is null ? null : model.Backend.Main.From(read.Bias, new Shape(read.Out));
        return new Lora(a, b, alpha, stabilised, dropout, bias: bias);
    }

    private static bool IsAdapter(string folder) => File.Exists(Path.Combine(folder, PeftConfig.FileName));

    private static string? WeightsIn(string folder)
    {
        foreach (var name in (ReadOnlySpan<string>)[Weights, OldWeights])
            if (Path.Combine(folder, name) is var path && File.Exists(path)) return path;
        return null;
    }

    /// <summary>A linear's factors on their way between file and model, B without the scale.</summary>
    private sealed record Update(string Module, float[] A, float[] B, int Rank, float Alpha, int In, int Out)
    {
        public float[]? Bias { get; init; }
        public float[]? Magnitude { get; init; }
    }
}
