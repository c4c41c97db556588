using System.Globalization;
using System.Text;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>
/// The raw data of a study as CSV, numbers in invariant culture, a header and a line per record. Three tables hold all that a report is made from, beside the
/// plan: the cells, the mean mixing weights (<c>task,arm,shots,runs,matrix</c> and a column per module) and the similarities (<c>task,training</c> and a column
/// per module, empty for a module outside the task's mix). All training samples are <c>all</c> shots.
/// </summary>
public static class ResultsCsv
{
    internal const string All = "all";

    private static readonly string[] CellFields =
        ["task", "arm", "shots", "draw", "training", "accuracy", "correct", "tested", "trained_parameters", "seconds"];

    private static readonly string[] WeightFields = ["task", "arm", "shots", "runs", "matrix"];
    private static readonly string[] SimilarityFields = ["task", "training"];

    /// <summary>The cells, without their mixing weights.</summary>
    public static string Cells(IEnumerable<Cell> cells)
    {
        var csv = new StringBuilder(string.Join(',', CellFields)).Append('\n');
        foreach (var c in cells)
        {
            csv.Append(CultureInfo.InvariantCulture, $"{Csv.Quoted(c.Task)},{Csv.Quoted(c.Arm)},{Shots(c.Shots)},{c.Draw},{c.Training},");
            csv.Append(CultureInfo.InvariantCulture, $"{c.Accuracy:R},{c.Correct},{c.Tested},{c.TrainedParameters},{c.Seconds:R}\n");
        }
        return csv.ToString();
    }

    /// <summary>The mean mixing weights, a line per matrix, to seven digits.</summary>
    public static string Weights(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        var csv = Header(WeightFields, results.Modules);
        foreach (var w in MeanWeights.Of(results))
        {
            for (var i = 0; i < w.Weights.Length; i++)
            {
                csv.Append(CultureInfo.InvariantCulture, $"{Csv.Quoted(w.Task)},{Csv.Quoted(w.Arm)},{Shots(w.Shots)},{w.Runs},");
                csv.Append(Csv.Quoted(results.Matrices[i]));
                foreach (var x in w.Weights[i]) csv.Append(CultureInfo.InvariantCulture, $",{x:G7}");
                csv.Append('\n');
            }
        }
        return csv.ToString();
    }

    /// <summary>The similarities of features.</summary>
    public static string Similarities(Results results)
    {
        ArgumentNullException.ThrowIfNull(results);
        var csv = Header(SimilarityFields, results.Modules);
        foreach (var s in results.Similarities ?? [])
        {
            csv.Append(CultureInfo.InvariantCulture, $"{Csv.Quoted(s.Task)},{s.Training}");
            foreach (var cka in s.Cka) csv.Append(CultureInfo.InvariantCulture, $",{cka:R}");
            csv.Append('\n');
        }
        return csv.ToString();
    }

    /// <summary>Writes a table to a file, atomically.</summary>
    public static void Save(string path, string csv) => AtomicFile.WriteText(path, csv);

    /// <summary>Reads a file of cells.</summary>
    /// <exception cref="InvalidDataException">The message names file, line and field.</exception>
    public static IReadOnlyList<Cell> Read(string path) => ReadCells(File.ReadAllText(path), path);

    /// <summary>Reads what <see cref="Cells"/> wrote.</summary>
    /// <param name="csv">The text.</param>
    /// <param name="source">What an error calls it.</param>
    /// <exception cref="InvalidDataException">The message names source, line and field.</exception>
    public static IReadOnlyList<Cell> ReadCells(string csv, string source = "cells")
    {
        var cells = new List<Cell>();
        var lines = new Dictionary<(string, string, int, int, int?), int>();
        foreach (var r in Table(csv, source, CellFields, columns: false, out _))
        {
            var (accuracy, correct, tested) = (r.Number(5, "accuracy"), r.Whole(6, "correct", 0), r.Whole(7, "tested", 1));
            if (accuracy is < 0 or > 1) throw r.Error("accuracy", $"{r.Fields[5]} is not a share from 0 to 1.");
            if (correct > tested) throw r.Error("correct", $"{correct} of {tested} tested.");
            if (Math.Abs(accuracy * tested - correct) > 0.5 + 1e-6) throw r.Error("accuracy", $"{r.Fields[5]} is not {correct} of {tested}.");
            int? training = r.Fields[4].Length == 0 ? null : r.Whole(4, "training", 0);
            var seconds = r.Number(9, "seconds");
            if (seconds < 0) throw r.Error("seconds", $"{r.Fields[9]} is below 0.");
            var cell = new Cell(r.Text(0, "task"), r.Text(1, "arm"), r.Shots(2), r.Whole(3, "draw", 0), accuracy, correct, tested,
                r.Long(8, "trained_parameters", 0), seconds, Training: training);
            var key = (cell.Task, cell.Arm, cell.Shots, cell.Draw, cell.Training);
            if (!lines.TryAdd(key, r.Line))
                throw r.Error("task", $"the same run (task, arm, shots, draw, training) as in line {lines[key]}; keep one of them.");
            cells.Add(cell);
        }
        return cells;
    }

    /// <summary>Reads what <see cref="Weights"/> wrote: names of modules and matrices, and the weights.</summary>
    /// <inheritdoc cref="ReadCells"/>
    public static (IReadOnlyList<string> Modules, IReadOnlyList<string> Matrices, IReadOnlyList<MeanWeights> Weights) ReadWeights(
        string csv, string source = "weights")
    {
        var blocks = new OrderedDictionary<(string Task, string Arm, int Shots), (int Runs, List<string> Matrices, List<float[]> Rows, CsvRecord At)>();
        var records = Table(csv, source, WeightFields, columns: true, out var modules);
        foreach (var r in records)
        {
            var (key, runs, matrix) = ((r.Text(0, "task"), r.Text(1, "arm"), r.Shots(2)), r.Whole(3, "runs", 1), r.Text(4, "matrix"));
            if (!blocks.TryGetValue(key, out var block)) blocks[key] = block = (runs, [], [], r);
            if (runs != block.Runs) throw r.Error("runs", $"{runs}, but {block.Runs} in line {block.At.Line} of the same task, arm and shots.");
            if (block.Matrices.Contains(matrix)) throw r.Error("matrix", $"{matrix} is there twice for this task, arm and shots.");
            block.Matrices.Add(matrix);
            block.Rows.Add([.. modules.Select((module, j) => (float)r.Number(WeightFields.Length + j, module))]);
        }
        IReadOnlyList<string> matrices = blocks.Count > 0 ? blocks.GetAt(0).Value.Matrices : [];
        foreach (var block in blocks.Values)
        {
            if (!block.Matrices.SequenceEqual(matrices))
                throw block.At.Error("matrix", "the matrices of this task, arm and shots are not those of the first, in the same order.");
        }
        return (modules, matrices, [.. blocks.Select(b => new MeanWeights(b.Key.Task, b.Key.Arm, b.Key.Shots, b.Value.Runs, [.. b.Value.Rows]))]);
    }

    /// <summary>Reads what <see cref="Similarities"/> wrote: names of modules, and the similarities.</summary>
    /// <inheritdoc cref="ReadCells"/>
    public static (IReadOnlyList<string> Modules, IReadOnlyList<Similarity> Similarities) ReadSimilarities(string csv, string source = "similarities")
    {
        var found = new List<Similarity>();
        var seen = new HashSet<(string, int)>();
        var records = Table(csv, source, SimilarityFields, columns: true, out var modules);
        foreach (var r in records)
        {
            var (task, training) = (r.Text(0, "task"), r.Whole(1, "training", 0));
            if (!seen.Add((task, training))) throw r.Error("task", $"training {training} of {task} is there twice.");
            var cka = new double?[modules.Count];
            for (var j = 0; j < cka.Length; j++)
            {
                var column = SimilarityFields.Length + j;
                cka[j] = r.Fields[column].Length == 0 ? null : r.Number(column, modules[j]);
            }
            var similarity = new Similarity(task, training, cka);
            found.Add(similarity);
        }
        return (modules, found);
    }

    private static string Shots(int shots) => shots == Cell.AllShots ? All : shots.ToString(CultureInfo.InvariantCulture);

    private static StringBuilder Header(string[] fields, IReadOnlyList<string> modules)
    {
        var csv = new StringBuilder(string.Join(',', fields));
        foreach (var module in modules) csv.Append(',').Append(Csv.Quoted(module));
        return csv.Append('\n');
    }

    // The records below the header, which must begin with these fields; further columns, where allowed, are named by the header.
    private static List<CsvRecord> Table(string csv, string source, string[] fields, bool columns, out IReadOnlyList<string> more)
    {
        var records = Csv.Records(csv, source).ToList();
        if (records.Count == 0) throw new InvalidDataException($"{source}: the file is empty; it begins with {string.Join(',', fields)}.");
        var header = records[0].Fields;
        for (var i = 0; i < fields.Length; i++)
        {
            if (i < header.Length && header[i] == fields[i]) continue;
            var found = i < header.Length ? $"\"{header[i]}\"" : "missing";
            throw records[0].Error(fields[i], $"column {i + 1} is {found}; the header begins with {string.Join(',', fields)}.");
        }
        if (!columns && header.Length > fields.Length)
            throw records[0].Error(header[fields.Length], $"is no column of this table, which has {string.Join(',', fields)}.");
        more = header[fields.Length..];
        if (more.Distinct().Count() < more.Count) throw records[0].Error(more.GroupBy(m => m).First(g => g.Count() > 1).Key, "is the name of two columns.");
        records.RemoveAt(0);
        foreach (var r in records)
        {
            if (r.Fields.Length != header.Length)
                throw r.Error(header[Math.Min(r.Fields.Length, header.Length - 1)], $"{r.Fields.Length} fields where the header has {header.Length}.");
        }
        return records;
    }
}
