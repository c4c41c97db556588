using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// No head: the answer to a text is its class's name, training makes that likelier, and a text is of the class whose name is the likeliest per token.
/// </summary>
/// <param name="model">The base.</param>
/// <param name="study">How it reads samples.</param>
public sealed class AnswerLearner(T5 model, TextToTextBase study) : Learner(model)
{
    private const int FeatureBatch = 128;

    /// <inheritdoc/>
    public override Learned Above(LabelledSet support, LabelledSet test, FitOptions options) => new(Correct(test), 0);

    /// <inheritdoc/>
    public override Learned Through(LabelledSet support, LabelledSet test, bool all, FitOptions options)
    {
        if (all) model.Train();
        var history = Trainer.Fit(model, study.Read(support), options);
        return new(Correct(test), history.TrainedCount);
    }

    /// <inheritdoc/>
    public override (LoraModule Module, History History) Module(LabelledSet samples, string name, ModuleOptions options)
    {
        var module = Upstream.Attached(model, name, options);
        var history = Trainer.Fit(model, study.Read(samples, training: true), Upstream.Fitting(options));
        return (new LoraModule(name, module.Updates), history);
    }

    /// <inheritdoc/>
    public override int Correct(LabelledSet test)
    {
        var answers = study.AnswersTo(test);
        var scores = model.ScoreAnswers(answers.Texts((TextSet)test), answers.Tokens);
        var (best, correct) = (TokenScores.BestAnswers(scores, test.Classes.Length), 0);
        for (var i = 0; i < best.Length; i++) if (best[i] == test.Labels[i]) correct++;
        return correct;
    }

    /// <inheritdoc/>
    /// <remarks>The mean of the encoder's states after its norm.</remarks>
    public override float[] Features(LabelledSet samples)
    {
        var (data, w, y) = (study.Read(samples), model.Backend.Main, new List<float>());
        for (var start = 0; start < data.Count; start += FeatureBatch)
        {
            using var scope = w.Scope(grad: false);
            var batch = data.Read(w, [.. Enumerable.Range(start, Math.Min(FeatureBatch, data.Count - start))]);
            y.AddRange(model.MeanState(batch).ToArray());
        }
        return [.. y];
    }
}

/// <summary>The names of classes as a text-to-text model says them.</summary>
internal sealed class Answers
{
    private readonly string[] _words;
    private readonly TextEncoder _encoder;

    /// <param name="classes">The names.</param>
    /// <param name="encoder">Makes their tokens.</param>
    /// <exception cref="InvalidDataException">Two classes have the same words, or one has none.</exception>
    public Answers(IReadOnlyList<string> classes, TextEncoder encoder)
    {
        (_encoder, _words) = (encoder, [.. classes.Select(Words)]);
        Tokens = [.. _words.Select(words => encoder.Pair("", words).Answer)];
        var seen = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var c = 0; c < _words.Length; c++)
        {
            if (Tokens[c].Length == 0) throw new InvalidDataException($"the class \"{classes[c]}\" has no word to answer with; give it a name.");
            if (!seen.TryAdd(string.Join(',', Tokens[c]), classes[c]))
                throw new InvalidDataException($"the classes \"{seen[string.Join(',', Tokens[c])]}\" and \"{classes[c]}\" are one answer; rename one.");
        }
    }

    /// <summary>The tokens of each, without an end token.</summary>
    public IReadOnlyList<int[]> Tokens { get; }

    /// <summary>The name of a class as words: "credit_limit_change" is "credit limit change".</summary>
    public static string Words(string name) => name.Replace('_', ' ').Trim();

    /// <summary>Texts, with their classes' names and the end token to write.</summary>
    public IDataset Texts(TextSet set)
    {
        TextSample[] samples = [.. set.Texts.Select((text, i) => new TextSample { Text = text, Answer = _words[set.Labels[i]] })];
        return TextDataset.ToWrite(set.Name, samples, _encoder);
    }
}
