using System.Text.Json;
using NanoLora.Models;

namespace NanoLora.Experiments.Verification;

/// <summary>An image model as the reference saved it: outputs and gradients at its own image size, then at others.</summary>
internal sealed class ImageCases(GoldenFolder folder, Backend backend, GoldenReport report) : ModelCase(folder, backend, report)
{
    /// <summary>Runs the case.</summary>
    public void Run()
    {
        using var model = Vit.Load(Folder.Path, Backend);
        model.Train();
        Pass(model, "");
        foreach (var tensor in Folder.Field(Folder.Root, "tensors", JsonValueKind.Object).EnumerateObject())
        {
            if (tensor.Name.StartsWith("at_", StringComparison.Ordinal) && tensor.Name.EndsWith(".pixel_values", StringComparison.Ordinal))
                Pass(model, tensor.Name[..^12]);
        }
    }

    private void Pass(Vit model, string prefix)
    {
        using var scope = Backend.Scope();
        var w = Backend.Main;
        model.Trace = (name, x) => See(prefix + name, x);
        var images = Folder.Load(w, prefix + "pixel_values");
        var weighted = Folder.Holds("loss_weight");
        var output = weighted && model.Head is null ? model.Features(images) : model.Forward(images);
        if (!weighted) See(prefix + "logits", output);
        using var loss = weighted ? (output * Folder.Load(w, "loss_weight")).Sum() : output.CrossEntropy(Folder.Load(w, "labels"));
        See(prefix + "loss", loss);
        loss.Backward();
        SeeGradients(model, prefix);
        Compare(prefix);
    }
}

/// <summary>A published checkpoint of half a million parameters on real images of digits: every prediction, and every layer of a few.</summary>
internal sealed class MnistCase(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report) : ModelCase(folder, backend, report)
{
    private const int Batch = 500, Side = 28;
    private const float Mean = 0.1307f, Deviation = 0.3081f;

    /// <summary>Runs the case.</summary>
    public void Run()
    {
        var data = DataFolder();
        var (images, labels) = Images(data);
        using var model = Vit.Load(Path.Combine(data, Folder.Field(Folder.Root, "source", JsonValueKind.String).GetString()!), Backend);
        var index = Folder.Ints("index_in_test_set");
        model.Trace = (name, x) => { if (name.StartsWith("hidden.", StringComparison.Ordinal)) See(name, x); };
        using (Backend.Scope(grad: false)) model.Forward(Pick(images, index.AsSpan(0, 2)));
        model.Trace = null;
        using (Backend.Scope(grad: false)) See("logits", model.Forward(Pick(images, index)));
        model.Train();
        using (Backend.Scope())
        {
            var loss = model.Forward(Pick(images, index.AsSpan(0, 8))).CrossEntropy(Backend.Main.From(Folder.Ints("labels").AsSpan(0, 8), new Shape(8)));
            See("loss_of_first_8", loss);
            loss.Backward();
            SeeGradients(model);
        }
        Compare();
        model.Train(false);

        var classes = model.Labels.Count;
        var all = Enumerable.Range(0, labels.Length).Where(i => labels[i] < classes).ToArray();
        var guesses = new int[all.Length];
        for (var at = 0; at < all.Length; at += Batch)
        {
            using var scope = Backend.Scope(grad: false);
            var part = all.AsSpan(at, Math.Min(Batch, all.Length - at));
            model.Forward(Pick(images, part)).ArgMax(-1).ToInts().CopyTo(guesses, at);
        }
        Report.Tensor("predictions_of_all", new Shape(guesses.Length), Comparison.Of(guesses, Folder.Ints("predictions_of_all")));
        var right = 0;
        for (var i = 0; i < all.Length; i++) if (guesses[i] == labels[all[i]]) right++;
        var checks = Folder.Field(Folder.Root, "checks", JsonValueKind.Object);
        int Check(string name) => Folder.Field(checks, name, JsonValueKind.Number, "checks.").GetInt32();
        Report.Tensor("checks.correct", new Shape(2), Comparison.Of([right, all.Length], [Check("correct"), Check("of")]));
    }

    private Tensor Pick(byte[] images, ReadOnlySpan<int> which)
    {
        var pixels = new float[which.Length * Side * Side];
        for (var i = 0; i < which.Length; i++)
        {
            for (var j = 0; j < Side * Side; j++) pixels[i * Side * Side + j] = (images[which[i] * Side * Side + j] / 255f - Mean) / Deviation;
        }
        return Backend.Main.From(pixels, new Shape(which.Length, 1, Side, Side));
    }

    private (byte[] Images, byte[] Labels) Images(string data)
    {
        var folder = Path.Combine(data, "img-mnist");
        var (images, sizes) = Data.Idx.Read(Path.Combine(folder, "t10k-images-idx3-ubyte.gz"));
        var (labels, counts) = Data.Idx.Read(Path.Combine(folder, "t10k-labels-idx1-ubyte.gz"));
        if (sizes is not [var n, Side, Side] || counts is not [var m] || n != m)
            throw new GoldenException(folder, "t10k", $"images of {Side} x {Side} and as many labels are expected.");
        return (images, labels);
    }

    // As given, or the nearest folder called data above the case that has the weights.
    private string DataFolder()
    {
        var source = Folder.Field(Folder.Root, "source", JsonValueKind.String).GetString()!;
        if (options.DataFolder is { } given) return given;
        for (var at = Path.GetDirectoryName(Path.GetFullPath(Folder.Path)); at is not null; at = Path.GetDirectoryName(at))
        {
            if (File.Exists(Path.Combine(at, "data", source))) return Path.Combine(at, "data");
        }
        throw new GoldenException(Folder.Path, "source", $"{source} is in no folder called data above the case; name the folder of data.");
    }
}
