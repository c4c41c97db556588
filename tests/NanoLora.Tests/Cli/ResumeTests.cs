using NanoLora.Experiments;
using NanoLora.Nn;
using NanoLora.Tests.Files;
using static NanoLora.Tests.Cli.DemoTests;

namespace NanoLora.Tests.Cli;

/// <summary>What commands say of interrupted work: nothing is lost without a word, and nothing is taken for what it is not.</summary>
public class ResumeTests
{
    private static string[] Train(MadeUpModels models, string folder) =>
    [
        "train", models.Model, "--task", models.TaskPath, "--out", folder, "--steps", "12", "--batch", "8", "--rank", "2", "--dropout", "0.1",
        "--checkpoint-every", "1",
    ];

    [Fact]
    public void With_nothing_to_resume_it_begins_anew_and_says_so()
    {
        using var models = new MadeUpModels();
        var run = CliRun.Of([.. Train(models, models.At("out")), "--resume"]);
        Assert.Equal(0, run.Code);
        Assert.Contains($"there is no state of a training in {models.At("out")}: it begins anew", run.Error);
    }

    [Fact]
    public void A_state_of_other_settings_is_refused()
    {
        using var models = new MadeUpModels();
        Assert.Equal(130, CliRun.Interrupted(Train(models, models.At("out"))).Code);
        var words = Train(models, models.At("out"));
        words[Array.IndexOf(words, "--batch") + 1] = "6";
        Fails(CliRun.Of([.. words, "--resume"]), "batch: the interrupted run has \"8\", this one \"6\"");

        // The same settings, another base.
        using (var backend = new CpuBackend(threads: 1))
        using (var model = NanoLora.Models.Vit.Create(MadeUpModels.Config, backend, seed: 5)) model.Save(models.Model);
        Ends(CliRun.Of([.. Train(models, models.At("out")), "--resume"]), "training-state.safetensors: frozen weights: the training that was interrupted has");
    }

    // A retraining that was killed after its first checkpoint: adapter and card of the one before are there, and do not pass for its own.
    [Fact]
    public void An_adapter_that_is_being_trained_anew_stays_until_the_new_one_is_there()
    {
        using var models = new MadeUpModels();
        var folder = models.At("out");
        Assert.Equal(0, CliRun.Of(Train(models, folder)).Code);
        var before = File.ReadAllBytes(Path.Combine(folder, "adapter_model.safetensors"));
        string[] anew = [.. Train(models, folder), "--seed", "2"];
        Assert.Equal(130, CliRun.Interrupted(anew).Code);
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(folder, "adapter_model.safetensors")));
        Assert.Equal(0, CliRun.Of([.. anew, "--resume"]).Code);
        Assert.NotEqual(before, File.ReadAllBytes(Path.Combine(folder, "adapter_model.safetensors")));
        Assert.False(File.Exists(Path.Combine(folder, TrainingState.FileName)));
    }

    [FullDiskFact]
    public void A_full_disk_ends_a_training_with_its_last_state_kept()
    {
        using var models = new MadeUpModels();
        using var disk = new SmallDisk();
        var (folder, filler) = (Path.Combine(disk.Folder, "out"), Path.Combine(disk.Folder, "filler"));
        var state = Path.Combine(folder, TrainingState.FileName);
        Assert.Equal(130, CliRun.Interrupted(Train(models, folder)).Code);
        var kept = File.ReadAllBytes(state);
        using (var stream = new FileStream(filler, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
        {
            try { while (true) stream.Write(new byte[1024]); }
            catch (IOException) { }
        }

        Ends(CliRun.Of([.. Train(models, folder), "--resume"]), $"{state}: file: it cannot be written: ",
            "The training ends without the state after step 2; the one before is kept, go on with: nanolora train");
        Assert.Equal(kept, File.ReadAllBytes(state));
        Assert.Equal([state], Directory.GetFileSystemEntries(folder));

        File.Delete(filler);
        var run = CliRun.Of([.. Train(models, folder), "--resume"]);
        Assert.True(run.Code == 0, run.Error);
        Assert.Equal(0, CliRun.Of(Train(models, models.At("unbroken"))).Code);
        byte[] Weights(string of) => File.ReadAllBytes(Path.Combine(of, "adapter_model.safetensors"));
        Assert.Equal(Weights(models.At("unbroken")), Weights(folder));
    }

    [Fact]
    public void An_interrupted_demo_is_not_written_over()
    {
        using var models = new MadeUpModels();
        string[] words =
            ["demo", "--models", models.Models, "--out", models.At("out"), "--draws", "40", "--steps", "3", "--shots", "1", "--arms", "linear-probe,learned"];
        Assert.Equal(130, CliRun.Interrupted(words).Code);
        var before = File.ReadAllBytes(models.At("out", "results.json"));
        var done = Results.LoadJson(models.At("out", "results.json")).Cells.Count;
        Fails(CliRun.Of(words), $"results.json has {done} of the 80 runs of an interrupted demo; add --resume to go on with it, or delete it");
        Assert.Equal(before, File.ReadAllBytes(models.At("out", "results.json")));
        Assert.Equal(0, CliRun.Of([.. words, "--resume"]).Code);
        Assert.Equal(0, CliRun.Of(words).Code);                             // one that is complete is made anew
    }

    // After it has told of its progress.
    private static void Ends(CliRun run, params string[] parts)
    {
        Assert.Equal(1, run.Code);
        foreach (var part in parts) Assert.Contains(part, run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1]);
    }
}
