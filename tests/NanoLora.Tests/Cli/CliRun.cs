using NanoLora.Cli;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;
using NanoLora.Tests.Data;

namespace NanoLora.Tests.Cli;

/// <summary>What a command line gave.</summary>
public sealed record CliRun(int Code, string Out, string Error)
{
    /// <summary>Runs the tool within this process.</summary>
    public static CliRun Of(params string[] args)
    {
        using StringWriter output = new(), error = new();
        var code = Program.Run(args, output, error);
        return new(code, output.ToString(), error.ToString());
    }

    /// <summary>The same, with something to read.</summary>
    public static CliRun Fed(string input, params string[] args)
    {
        using StringWriter output = new(), error = new();
        using var reader = new StringReader(input);
        var code = Program.Run(args, output, error, reader);
        return new(code, output.ToString(), error.ToString());
    }

    /// <summary>The same, and Ctrl-C with the first line that tells of progress.</summary>
    public static CliRun Interrupted(params string[] args)
    {
        using var source = new CancellationTokenSource();
        using StringWriter output = new();
        using var error = new CancellingWriter(source);
        var code = Program.Run(args, output, error, source.Token);
        return new(code, output.ToString(), error.ToString());
    }

    private sealed class CancellingWriter(CancellationTokenSource source) : StringWriter
    {
        public override void Write(string? value)
        {
            if (value is not null && value.Contains('%')) source.Cancel();
            base.Write(value);
        }
    }
}

/// <summary>A folder of tiny made-up models as the demo wants it: a base for images of 4 x 4, two modules, a held-out task, and what was seen before.</summary>
public sealed class MadeUpModels : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nanolora-cli-");

    public MadeUpModels()
    {
        Directory.CreateDirectory(At("models", "tasks"));
        using var backend = new CpuBackend(threads: 1);
        using (var model = Vit.Create(Config, backend, seed: 1)) model.Save(Model);
        foreach (var (name, rank) in new[] { ("one", 2), ("two", 3) }) Module(backend, name, rank);
        Task = new("Held Out", DataFiles.Set("Held Out", 3, 8, 1), DataFiles.Set("Held Out", 3, 5, 2), Pool.HeldOut);
        TaskFile.Write(TaskPath, Task);
        ImageTask seen = new("Seen", DataFiles.Set("Seen", 2, 4, 3), DataFiles.Set("Seen", 2, 4, 4), Pool.Pretraining);
        PoolHashes.Write(At("models", "pools.safetensors"), [seen], []);
    }

    public static VitConfig Config { get; } = new()
    {
        ImageSize = 4, PatchSize = 2, Channels = 1, HiddenSize = 8, Layers = 1, Heads = 2, IntermediateSize = 16,
        Labels = ["cat", "dog"], ImageMean = [0.5f], ImageStd = [0.25f],
    };

    public ImageTask Task { get; }

    public string Models => At("models");

    public string Model => At("models", "nano-vit");

    public string TaskPath => At("models", "tasks", "held-out.safetensors");

    public string At(params string[] parts) => Path.Combine([_folder.FullName, .. parts]);

    public string ModuleAt(string name) => Path.Combine(Model, "modules", name);

    public void Dispose() => _folder.Delete(recursive: true);

    // B is not zero, or composing would show nothing.
    private void Module(CpuBackend backend, string name, int rank)
    {
        using var model = Vit.Load(Model, backend);
        var module = Attach.Lora(model, "blocks.*", rank, alpha: 2 * rank, seed: (ulong)rank, name: name);
        foreach (var update in module.Updates.Values)
        {
            var (random, values) = (new Philox((ulong)rank, 99), update.B.Value.ToArray());
            for (var i = 0; i < values.Length; i++) values[i] = 0.3f * random.Normal((ulong)i);
            backend.Upload<float>(values, update.B);
        }
        Directory.CreateDirectory(Path.Combine(Model, "modules"));
        PeftFolder.Save(ModuleAt(name), module, model);
    }
}
