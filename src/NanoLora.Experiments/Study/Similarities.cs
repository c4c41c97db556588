using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>How near modules are to a task, by what they make of its images.</summary>
internal static class Similarities
{
    private const int MostImages = 500;

    /// <summary>
    /// Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) between the features of base + module and those of base + the task's own module, on the task's
    /// test images, at most 500 of them evenly chosen: one value a module, null for the task's own.
    /// </summary>
    public static IReadOnlyList<double?> Cka(string modelFolder, IReadOnlyList<string> moduleFolders, int own, ImageSet test,
        Normalisation normalisation, Backend backend)
    {
        using var model = Vit.Load(modelFolder, backend);
        var step = Math.Max(1, (test.Count + MostImages - 1) / MostImages);
        var images = new ImageDataset(test.Where(i => i % step == 0), normalisation);
        var features = moduleFolders.Select(Features).ToList();
        return [.. features.Select((f, n) => n == own ? (double?)null : Experiments.Cka.Linear(f, features[own], images.Count))];

        float[] Features(string folder)
        {
            using var module = Lora.Load(folder, model);
            Attach.Module(model, module);
            var seen = model.FeaturesOf(images);
            Attach.Detach(model, dispose: false);
            return seen;
        }
    }
}
