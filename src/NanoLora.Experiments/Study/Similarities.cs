using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>How near modules are to a task, by what they make of its samples.</summary>
internal static class Similarities
{
    private const int MostSamples = 500;

    /// <summary>
    /// Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) between the features of base + module and those of base + the task's own module, on the task's
    /// test samples, at most 500 of them evenly chosen: one value a module, null for the task's own.
    /// </summary>
    public static IReadOnlyList<double?> Cka(StudyBase study, IReadOnlyList<string> moduleFolders, int own, LabelledSet test, Backend backend)
    {
        using var model = study.Open(backend);
        var learner = study.Over(model);
        var step = Math.Max(1, (test.Count + MostSamples - 1) / MostSamples);
        var samples = test.Subset([.. Enumerable.Range(0, test.Count).Where(i => i % step == 0)]);
        var features = moduleFolders.Select(Features).ToList();
        return [.. features.Select((f, n) => n == own ? (double?)null : Experiments.Cka.Linear(f, features[own], samples.Count))];

        float[] Features(string folder)
        {
            using var module = Lora.Load(folder, model);
            Attach.Module(model, module);
            var seen = learner.Features(samples);
            Attach.Detach(model, dispose: false);
            return seen;
        }
    }
}
