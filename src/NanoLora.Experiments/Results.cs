using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Unicode;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>One trained and tested run of the study.</summary>
/// <param name="Task">The held-out task.</param>
/// <param name="Arm">The way of adapting, one of <see cref="ArmNames"/> or another name.</param>
/// <param name="Shots">Training examples per class; <see cref="AllShots"/> for all there are.</param>
/// <param name="Draw">Which draw of the support set; runs of equal task, shots and draw are paired.</param>
/// <param name="Accuracy">Share of correct answers on the test set, 0 to 1.</param>
/// <param name="Correct">Correct answers.</param>
/// <param name="Tested">Test examples.</param>
/// <param name="TrainedParameters">Numbers that training could change, the head included.</param>
/// <param name="Seconds">Wall-clock time of training and testing.</param>
/// <param name="Weights">Mixing weights [matrices][modules] in the order of <see cref="Results.Matrices"/> and <see cref="Results.Modules"/>,
/// 0 for a module that is not in this task's mix; null for an arm that mixes nothing.</param>
/// <param name="Training">Which training of the upstream modules the arm used; null for an arm that uses none, or where there is only one.</param>
public sealed record Cell(
    string Task, string Arm, int Shots, int Draw, double Accuracy, int Correct, int Tested, long TrainedParameters, double Seconds, float[][]? Weights = null,
    int? Training = null)
{
    /// <summary>The number of shots that stands for all training samples.</summary>
    public const int AllShots = 0;
}

/// <summary>An arm of a study: its name in the cells, what it is called in prose, and what it does.</summary>
/// <param name="Name">As in <see cref="Cell.Arm"/>.</param>
/// <param name="Label">As shown.</param>
/// <param name="Settings">What it does and at which rates, in a line.</param>
public sealed record ArmFact(string Name, string Label, string Settings);

/// <summary>How near each upstream module is to a held-out task: the linear CKA of two sets of features of the task's test samples.</summary>
/// <param name="Task">The held-out task.</param>
/// <param name="Training">Which training of the modules.</param>
/// <param name="Cka">One value per entry of <see cref="Results.Modules"/>: base + module beside base + a LoRA trained on the task's own training samples; null
/// where a module is not in this task's mix.</param>
public sealed record Similarity(string Task, int Training, IReadOnlyList<double?> Cka);

/// <summary>A name and what it stands for: a setting, or a property of the machine.</summary>
public sealed record Fact(string Name, string Value);

/// <summary>Everything a study leaves behind: how it was made, each run, and what the runs show.</summary>
/// <param name="Title">What was studied, as a headline.</param>
/// <param name="Model">The base model.</param>
/// <param name="Modules">Names of the upstream modules: the columns of the mixing weights.</param>
/// <param name="Matrices">Names of the adapted matrices: the rows of the mixing weights.</param>
/// <param name="Machine">Processor, threads, runtime: what the seconds depend on.</param>
/// <param name="Seed">The seed that, with the settings, gives the same results again.</param>
/// <param name="CreatedAt">When the study ended, in UTC.</param>
/// <param name="Settings">The settings of the study, in the order in which they are shown.</param>
/// <param name="Cells">One entry per run.</param>
/// <param name="Conclusion">One sentence that says what the cells show, made by <see cref="Experiments.Conclusion.Of(Results)"/>.</param>
/// <param name="Arms">The arms in the order in which they are shown; null for those of <see cref="ArmNames"/>.</param>
/// <param name="Similarities">How near the modules are to each held-out task, where it was measured.</param>
/// <param name="MeanWeights">Mixing weights by task, arm and shots, where they are kept apart from the cells; null where the cells have them.</param>
/// <param name="Planned">How many runs the plan asks for, so that a report of fewer says so; 0 where it is not known.</param>
public sealed record Results(
    string Title,
    string Model,
    IReadOnlyList<string> Modules,
    IReadOnlyList<string> Matrices,
    IReadOnlyList<Fact> Machine,
    ulong Seed,
    DateTimeOffset CreatedAt,
    IReadOnlyList<Fact> Settings,
    IReadOnlyList<Cell> Cells,
    string Conclusion = "",
    IReadOnlyList<ArmFact>? Arms = null,
    IReadOnlyList<Similarity>? Similarities = null,
    IReadOnlyList<MeanWeights>? MeanWeights = null,
    int Planned = 0)
{
    // Letters of every script are written as they are, not as \u escapes.
    private static readonly ResultsJson Readable =
        new(new JsonSerializerOptions(ResultsJson.Default.Options) { Encoder = JavaScriptEncoder.Create(UnicodeRanges.All) });

    /// <summary>The results as indented JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Readable.Results);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">What an error calls the text, its file for instance.</param>
    /// <exception cref="InvalidDataException">The text is not JSON, or a field is missing or of the wrong kind.</exception>
    public static Results FromJson(string json, string source = "results")
    {
        try
        {
            return JsonSerializer.Deserialize(json, ResultsJson.Default.Results)
                ?? throw new InvalidDataException($"{source}: the file holds null instead of results");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{source}: {error.Message} Run the study again, or repair the file.", error);
        }
    }

    /// <summary>The same with the mixing weights of the cells replaced by their means: all that a report needs, in a fraction of the space.</summary>
    public Results WithMeanWeights() =>
        this with { MeanWeights = Experiments.MeanWeights.Of(this), Cells = [.. Cells.Select(static c => c with { Weights = null })] };

    /// <summary>The cells as CSV, see <see cref="ResultsCsv"/>; mixing weights left out.</summary>
    public string ToCsv() => ResultsCsv.Cells(Cells);

    /// <summary>Writes <see cref="ToJson"/> to a file, atomically.</summary>
    public void SaveJson(string path) => AtomicFile.WriteText(path, ToJson() + "\n");

    /// <summary>Writes <see cref="ToCsv"/> to a file, atomically.</summary>
    public void SaveCsv(string path) => AtomicFile.WriteText(path, ToCsv());

    /// <summary>Reads a file written by <see cref="SaveJson"/>.</summary>
    /// <exception cref="InvalidDataException">The file does not hold results.</exception>
    public static Results LoadJson(string path) => FromJson(File.ReadAllText(path), path);
}

[JsonSourceGenerationOptions(WriteIndented = true, NewLine = "\n", PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    Converters = [typeof(WeightRows)])]
[JsonSerializable(typeof(Results))]
internal sealed partial class ResultsJson : JsonSerializerContext;

// Mixing weights with one row of the matrix per line, where the indented default would give one number per line.
internal sealed class WeightRows : JsonConverter<float[][]>
{
    public override float[][] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var rows = new List<float[]>();
        Expect(ref reader, JsonTokenType.StartArray);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            Expect(ref reader, JsonTokenType.StartArray);
            var row = new List<float>();
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                Expect(ref reader, JsonTokenType.Number);
                row.Add(reader.GetSingle());
            }
            rows.Add([.. row]);
        }
        return [.. rows];
    }

    public override void Write(Utf8JsonWriter writer, float[][] value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (var row in value)
        {
            var text = new StringBuilder("[");
            for (var i = 0; i < row.Length; i++)
            {
                if (!float.IsFinite(row[i])) throw new InvalidDataException($"Results: a mixing weight is {row[i]}, which JSON cannot hold; the run diverged");
                text.Append(i == 0 ? "" : ", ").Append(row[i].ToString("R", CultureInfo.InvariantCulture));
            }
            writer.WriteRawValue(text.Append(']').ToString());
        }
        writer.WriteEndArray();
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType token)
    {
        if (reader.TokenType != token) throw new JsonException($"weights are rows of numbers, but hold a {reader.TokenType} where a {token} belongs.");
    }
}
