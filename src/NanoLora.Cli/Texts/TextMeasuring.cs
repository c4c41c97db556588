using NanoLora.Cli.Commands;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary><c>nanolora eval</c> and <c>predict</c> on texts.</summary>
internal static class TextMeasuring
{
    private const int BatchSize = 16;

    /// <summary>A head that is fitted first: the nearest class mean of so many texts a class.</summary>
    public sealed record Probe(int Shots, int Draw, ulong Seed);

    /// <summary>Measures a model on the test samples, or on all where there are none.</summary>
    public static int Evaluate(Session session, Backend backend, string model, string? adapter, TextTaskInput input, Probe? probe)
    {
        using var work = TextWork.Open(session, model, backend, input, adapter);
        if (probe is not null) Fit(work, probe);
        if (work.Classifier is { } classifier) CheckHead(classifier, work.Task);
        session.Say($"{work.Task.Name}: {work.Measured(BatchSize, all: true)}");
        return 0;
    }

    /// <summary>Names texts: a line each, with the most probable classes.</summary>
    public static int Predict(Session session, Backend backend, string folder, string? adapter, IReadOnlyList<string> texts, int top)
    {
        using var model = TextModels.Classifier(folder, backend);
        if (adapter is not null) Adapters.Attach(model, adapter);
        if (model.Head is null) throw new CommandException($"{folder} has no head; give an adapter that has one.");
        var encoder = TextModels.Encoder(model, null, chat: false);
        foreach (var text in texts)
        {
            if (session.IsInterrupted) return Session.Interrupted;
            var ids = encoder.Whole(text);
            if (ids.Length == 0) throw new CommandException($"\"{Printable.Of(text)}\": the tokenizer makes no token of it.");
            using var scope = backend.Scope(grad: false);
            var values = model.Forward(backend.Main.From(ids, new Shape(1, ids.Length))).Softmax().ToArray();
            session.Out.WriteLine($"{Printable.Of(text, 80)}: {PredictCommand.Best(values, model.Labels, top)}");
        }
        return 0;
    }

    private static void Fit(TextWork work, Probe probe)
    {
        if (work.Classifier is not { } classifier) throw new UsageException("--probe goes with labelled texts that a head is to name.");
        work.Draw(probe.Shots, probe.Seed, probe.Draw);
        Heads.NearestMean(classifier, work.Dataset(work.Task.Train, "support"));
    }

    private static void CheckHead(TextClassifier model, TextTask task)
    {
        if (model.Head is null) throw new CommandException($"{model.Source} has no head; give an adapter that has one, --probe, or --rank-answers.");
        if (model.Labels.Count != task.Classes.Count)
        {
            throw new CommandException($"the head of {model.Source} names {model.Labels.Count} classes, {task.Name} has {task.Classes.Count}; "
                + "give the adapter of this task.");
        }
    }
}
