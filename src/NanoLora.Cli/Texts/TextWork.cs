using System.Globalization;
using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Cli;

/// <summary>A model with a task on texts: as classes for its head, or as tokens to go on with.</summary>
internal sealed class TextWork : IDisposable
{
    private readonly Session _session;
    private readonly TextTaskInput _input;
    private (IReadOnlyList<TextSample> Of, TextDataset Data)? _measured;               // encoded, and told, once

    private TextWork(Session session, TextTaskInput input, Model model, TextTask task)
    {
        (_session, _input, Model, Task) = (session, input, model, task);
        var most = TextModels.Length(model, int.MaxValue);
        if (input.MaxLength > most) throw new CommandException($"--max-length: {model.Source} is made for texts of {most} tokens, not {input.MaxLength}.");
        Encoder = TextModels.Encoder(model, input.MaxLength, chat: task.Kind == TextKind.Chat);
    }

    /// <summary>The model.</summary>
    public Model Model { get; }

    /// <summary>The task.</summary>
    public TextTask Task { get; private set; }

    /// <summary>Makes token ids.</summary>
    public TextEncoder Encoder { get; }

    /// <summary>The model, if it is to name classes by its head.</summary>
    public TextClassifier? Classifier => Model as TextClassifier;

    /// <summary>Whether the model reads one text and writes another.</summary>
    private bool Writes => Model is T5;

    /// <summary>Opens the model that the task asks for, with an adapter if there is one.</summary>
    /// <param name="session">Who is told.</param>
    /// <param name="folder">The model's folder.</param>
    /// <param name="backend">Where it computes.</param>
    /// <param name="input">The task.</param>
    /// <param name="adapter">An adapter to attach, whose head becomes the model's.</param>
    public static TextWork Open(Session session, string folder, Backend backend, TextTaskInput input, string? adapter = null)
    {
        var task = input.Read(session);
        var model = task.Kind == TextKind.Labelled ? TextModels.Classifier(folder, backend) : TextModels.Writer(folder, backend);
        model.Title = ModelFolder.Title(folder);
        try
        {
            if (adapter is not null) Adapters.Attach(model, adapter);
            // A head names its classes in its own order.
            if (adapter is not null && model is Nn.Classifier { Head: not null } classifier && !Numbered(classifier.Labels))
                task = input.Read(session, classifier.Labels, again: true);
            return new(session, input, model, task);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Learns from so many texts a class only.</summary>
    public void Draw(int shots, ulong seed, int draw) => Task = TextFewShot.Draw(Task, shots, seed, draw);

    /// <summary>Samples as the model takes them; what is cut or left out is told.</summary>
    public TextDataset Dataset(IReadOnlyList<TextSample> samples, string what, bool pack = false)
    {
        var (name, cancellation) = (Task.Name, _session.Cancellation);
        var data = Classifier is not null ? TextDataset.ToClassify(name, samples, Task.Classes, Encoder, cancellation)
            : Writes ? TextDataset.ToWrite(name, samples, Encoder, cancellation)
            : TextDataset.ToContinue(name, samples, Encoder, pack, cancellation);
        if (data.Cut > 0) _session.Note($"{data.Cut:N0} of {samples.Count:N0} {what} samples have more than {Encoder.MaxLength} tokens and are cut");
        if (data.LeftOut > 0)
            _session.Note($"{data.LeftOut:N0} of {samples.Count:N0} {what} samples have nothing to learn within that length and are left out");
        var vocabulary = TextModels.Vocabulary(Model);
        if (data.LargestId >= vocabulary)
            throw new CommandException($"{Model.Source} has {vocabulary} tokens and its tokenizer gives the id {data.LargestId}: they do not belong together.");
        return data;
    }

    /// <summary>What the model makes of the test samples, in a few sentences.</summary>
    /// <param name="batchSize">How many are read at once.</param>
    /// <param name="mostWritten">How many completions are written at most, to see whether they are exact.</param>
    /// <param name="all">Whether all samples are measured where none are for tests.</param>
    public string Measured(int batchSize, int mostWritten = int.MaxValue, bool all = false)
    {
        var samples = Task.Test.Count > 0 || !all ? Task.Test : Task.Train;
        if (samples.Count == 0) return "Nothing: the task has no test samples.";
        if (Classifier is { } classifier)
            return Named(classifier.Correct(Measurable(samples), batchSize), samples.Count);
        var parts = new List<string>();
        if (_input.RanksAnswers) parts.Add(Named(Ranked(samples, batchSize), samples.Count));
        var score = Model.Score(Measurable(samples), batchSize, cancellation: _session.Cancellation);
        parts.Add(string.Create(CultureInfo.InvariantCulture, $"Perplexity {score.Perplexity:0.000} over {score.Targets:N0} tokens of "
            + $"{samples.Count:N0} test samples, {100 * score.Accuracy:0.0} % of them foreseen."));
        if (Task.Kind == TextKind.Completion && !_input.RanksAnswers)
        {
            List<TextSample> written = [.. samples.Take(mostWritten)];
            var exact = Exact(written, batchSize);
            var share = 100.0 * exact / written.Count;
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{share:0.0} % of {written.Count:N0} completions written exactly ({exact:N0})."));
        }
        return string.Join(' ', parts);
    }

    /// <summary>What the model most likely writes after a prompt.</summary>
    public string Sample(string prompt, int tokens)
    {
        var room = Math.Max(1, TextModels.Length(Model, int.MaxValue) - tokens);
        return Encoder.Tokenizer.Decode(Written([Asked(prompt, room)], tokens)[0]);
    }

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();

    private static string Named(int correct, int count) =>
        string.Create(CultureInfo.InvariantCulture, $"{100.0 * correct / count:0.0} % of {count:N0} test texts are named rightly ({correct:N0}).");

    private TextDataset Measurable(IReadOnlyList<TextSample> samples)
    {
        if (_measured is not { } known || known.Of != samples) _measured = known = (samples, Dataset(samples, "test"));
        return known.Data;
    }

    private int Ranked(IReadOnlyList<TextSample> samples, int batchSize)
    {
        var data = TextDataset.ToRank(Task.Name, [.. samples.Select(static s => s.Text)], Task.Classes, Encoder, Writes, _session.Cancellation);
        var best = TokenScores.BestAnswers(Model.ScoreEach(data, batchSize, cancellation: _session.Cancellation), Task.Classes.Count);
        return best.Zip(samples).Count(static p => p.First == p.Second.Label);
    }

    // White space at the ends does not count.
    private int Exact(List<TextSample> samples, int batchSize)
    {
        var right = 0;
        var asked = samples.Select(s => (Sample: s, Pair: Encoder.Pair(Writes ? "" : s.Text, s.Answer))).OrderBy(static a => a.Pair.Answer.Length).ToList();
        for (var start = 0; start < asked.Count; start += batchSize)
        {
            _session.Cancellation.ThrowIfCancellationRequested();
            var batch = asked[start..Math.Min(asked.Count, start + batchSize)];
            var tokens = batch[^1].Pair.Answer.Length + 1;                              // with the end token
            if (tokens >= Encoder.MaxLength) break;                                     // those that are longer cannot be right
            var written = Written([.. batch.Select(b => Asked(b.Sample.Text, Encoder.MaxLength - tokens))], tokens);
            for (var i = 0; i < batch.Count; i++)
            {
                var ids = Encoder.End is null ? written[i].AsSpan(0, Math.Min(written[i].Length, batch[i].Pair.Answer.Length)).ToArray() : written[i];
                if (Encoder.Tokenizer.Decode(ids).AsSpan().Trim().SequenceEqual(batch[i].Sample.Answer.AsSpan().Trim())) right++;
            }
        }
        return right;
    }

    private int[] Asked(string prompt, int room) => Writes ? Encoder.Whole(prompt) : Encoder.Prompt(prompt, room);

    private int[][] Written(IReadOnlyList<int[]> prompts, int tokens)
    {
        int[] stop = Encoder.End is { } end ? [end] : [];
        var workspace = new Workspace(Model.Backend);                                   // not that of a training, whose dropout is at work
        return Model switch
        {
            T5 t5 => Generator.Greedy(t5, workspace, prompts, tokens, stop),
            LanguageModel decoder => Generator.Greedy(decoder, workspace, prompts, tokens, stop),
            _ => throw new CommandException($"{Model.Source} classifies texts and writes none."),
        };
    }

    private static bool Numbered(IReadOnlyList<string> labels) => labels.Select(static (l, n) => l == $"{n}" || l == $"LABEL_{n}").All(static same => same);
}
